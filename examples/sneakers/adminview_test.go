package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/examples/sneakers/store"
)

// TestTheAdminsPageBeginsWithTheTruth: it has the figures before its script is connected.
func TestTheAdminsPageBeginsWithTheTruth(t *testing.T) {
	t.Parallel()
	a := start(t, "-stock", "3")
	shoe := item(a, 0, 0)
	v := enter(t, a)
	w := v.tab(cartTopic(v.cartID))
	// The reply comes after the cart is tracked.
	if _, err := w.ask(t.Context(), cartTopic(v.cartID), "add_item", map[string]any{"item_id": shoe}); err != nil {
		t.Fatal(err)
	}
	buyer := enter(t, a)
	buyer.post("/cart/add", "item_id", id(shoe))
	if status, page := buyer.post("/checkout", "key", "k"); status != http.StatusSeeOther {
		t.Fatal(status, page)
	}
	status, page := admin(t, a, "/admin", nil)
	if status != http.StatusOK {
		t.Fatal(status)
	}
	for _, want := range []string{
		`id="shoppers">1<`, `id="tabs">1<`, `id="in-carts">1<`, `id="sold">1<`, `id="left">59<`, `id="refused">0<`,
		`<b class="left">2</b> left, <b class="carts">1</b> in carts`, `data-pairs="1"`, "1 in the last minute",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is not in the page", want)
		}
	}
	if strings.Contains(page, "–") {
		t.Error("the page has a dash in place of a figure")
	}
}

func TestPageRows(t *testing.T) {
	n := audience{Tabs: 11, pages: map[string]int{"/": 4, "/products/1": 2, "/cart": 1, "/<b>": 3, "other": 1}}
	var got []string
	for _, r := range pageRows([]*store.Product{{ID: 1, Name: "Low", Color: "blue"}}, n) {
		got = append(got, fmt.Sprint(r.Name, " ", r.Tabs, " ", r.Width))
	}
	want := "Releases 4 100|Low, blue 2 50|Cart 1 25|Checkout 0 0|Order complete 0 0|Other pages 4 100"
	if strings.Join(got, "|") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, "|"), want)
	}
}

func TestSalesChart(t *testing.T) {
	c := chartOf(map[int64]int{1000: 4, 999: 1, 941: 2, 940: 7}, 1000)
	if len(c.Bars) != chartSeconds || c.Total != 7 || c.Most != 4 {
		t.Errorf("%d bars, %d in all, %d at most", len(c.Bars), c.Total, c.Most)
	}
	if first, last := c.Bars[0], c.Bars[chartSeconds-1]; first != (saleBar{0, 2, 50, 50}) || last != (saleBar{590, 4, 0, 100}) {
		t.Error(first, last)
	}
	if c := chartOf(nil, 1000); c.Most != 0 || c.Bars[0].Height != 0 {
		t.Errorf("%+v", c)
	}
}
