package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/pubsub/nats/embedded"
)

// TestNATSJoinsNodes: -cluster nats://… with a server of its own.
func TestNATSJoinsNodes(t *testing.T) {
	t.Parallel()
	server, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0", Logger: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	testTwoNodes(t, server.URL())
}

// TestRedisJoinsNodes: -cluster redis://…. It needs a server: servers/test redis.
func TestRedisJoinsNodes(t *testing.T) {
	at := os.Getenv("PENSTOCK_REDIS")
	if at == "" {
		t.Skip("PENSTOCK_REDIS is not set: servers/test redis starts one")
	}
	testTwoNodes(t, "redis://"+at)
}

// testTwoNodes: what happens at one node is seen at the other, through the server at a URL.
func testTwoNodes(t *testing.T, url string) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 30)), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-cluster", url, "-secret-file", secret, "-database", filepath.Join(t.TempDir(), "shop.db"), "-stock", "1"}
	a, b := start(t, args...), start(t, args...)
	if a.hub.Node() == b.hub.Node() {
		t.Fatal("two nodes are", a.hub.Node())
	}
	shoe := item(b, 0, 0)
	product := a.inventory.Products()[0].ID

	// One shopper with a tab at each node, and an admin at the second.
	here, there := enter(t, a), enter(t, b)
	there.session, there.cart, there.cartID, there.token = here.session, here.cart, here.cartID, here.token
	admin := openAdmin(t, b)
	there.tab(cartTopic(there.cartID), productTopic(product))
	b.hub.Settle(t.Context(), cartTopic(there.cartID))
	b.hub.Settle(t.Context(), trackerTopic)
	there.next("cart", nil)
	tab := here.tab(cartTopic(here.cartID))
	here.wire = tab
	if err := here.change(t.Context(), "add_item", shoe); err != nil {
		t.Fatal(err)
	}
	var view cartView
	if there.next("cart", &view); len(view.Items) != 1 || view.Items[0].ID != shoe || view.Items[0].Out {
		t.Errorf("the tab at the other node has %+v", view.Items)
	}
	// Presence comes from the other node too: both tabs hold the size.
	for seen := 0; seen < 2; {
		admin.take(admin.one("presence of both tabs"))
		seen = 0
		for _, m := range admin.carts[here.cartID] {
			if slices.Equal(m.Items, []int64{shoe}) {
				seen++
			}
		}
	}
	// The last pair is sold at the first node.
	enter(t, a).buys(shoe, "k")
	var change stockEvent
	if there.next(stockChange, &change); change != (stockEvent{product, shoe, levelOut}) {
		t.Errorf("the page at the other node has %+v", change)
	}
	for !slices.ContainsFunc(view.Items, func(l line) bool { return l.ID == shoe && l.Out }) {
		there.next("cart", &view)
	}
}
