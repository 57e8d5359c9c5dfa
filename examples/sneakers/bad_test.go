package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/examples/sneakers/store"
	"github.com/penstock-go/penstock/token"
)

// TestBadForms: what a hostile client posts is refused with a clear page, and nothing changes.
func TestBadForms(t *testing.T) {
	t.Parallel()
	a := start(t, "-stock", "1")
	other := enter(t, a)
	otherForm, otherCart := other.csrf, signed(t, a, other.cartID, item(a, 0, 0))
	for name, test := range map[string]struct {
		path   string
		fields []string
		cart   func(v *visitor) string // kept by the browser
		status int
		says   string
	}{
		"no token":             {"/cart/add", []string{"csrf", "", "item_id", id(item(a, 0, 0))}, nil, http.StatusForbidden, "not of this shop"},
		"the token of another": {"/cart/add", []string{"csrf", otherForm, "item_id", id(item(a, 0, 0))}, nil, http.StatusForbidden, "not of this shop"},
		"no item":              {"/cart/add", nil, nil, http.StatusNotFound, "no such item"},
		"negative":             {"/cart/add", []string{"item_id", "-1"}, nil, http.StatusNotFound, "no such item"},
		"huge":                 {"/cart/add", []string{"item_id", strings.Repeat("9", 40)}, nil, http.StatusNotFound, "no such item"},
		"not a number":         {"/cart/add", []string{"item_id", "1 OR 1=1"}, nil, http.StatusNotFound, "no such item"},
		"unreleased":           {"/cart/add", []string{"item_id", id(item(a, 3, 0))}, nil, http.StatusConflict, "cannot be bought yet"},
		"many pairs":           {"/cart/add", []string{"item_id", id(item(a, 0, 0)), "quantity", "1000000000000"}, nil, http.StatusBadRequest, "One pair"},
		"no pair":              {"/cart/add", []string{"item_id", id(item(a, 0, 0)), "quantity", "0"}, nil, http.StatusBadRequest, "One pair"},
		"a negative quantity":  {"/cart/add", []string{"item_id", id(item(a, 0, 0)), "quantity", "-1"}, nil, http.StatusBadRequest, "One pair"},
		"not in the cart":      {"/cart/remove", []string{"item_id", id(item(a, 0, 0))}, nil, http.StatusNotFound, "no such item"},
		"too large":            {"/cart/add", []string{"item_id", strings.Repeat("1", maxForm)}, nil, http.StatusRequestEntityTooLarge, ""},
		"an empty cart":        {"/checkout", []string{"key", "k"}, nil, http.StatusConflict, "empty"},
		"checkout, no token":   {"/checkout", []string{"csrf", "", "key", "k"}, keeps(t, a, item(a, 0, 0)), http.StatusForbidden, "not of this shop"},
		"checkout, no key":     {"/checkout", nil, keeps(t, a, item(a, 0, 0)), http.StatusBadRequest, "not a purchase"},
		"checkout, a zero":     {"/checkout", []string{"key", "\x00"}, keeps(t, a, item(a, 0, 0)), http.StatusBadRequest, "not a purchase"},
		"an unreleased item":   {"/checkout", []string{"key", "k"}, keeps(t, a, item(a, 0, 0), item(a, 3, 0)), http.StatusConflict, "cannot be bought"},
		"an item twice":        {"/checkout", []string{"key", "k"}, keeps(t, a, item(a, 0, 0), item(a, 0, 0)), http.StatusBadRequest, "not a purchase"},
		"the cart of another":  {"/checkout", []string{"key", "k"}, func(*visitor) string { return otherCart }, http.StatusConflict, "empty"},
		"a forged cart":        {"/checkout", []string{"key", "k"}, func(v *visitor) string { return signed(t, a, v.cartID, item(a, 0, 0)) + "x" }, http.StatusConflict, "empty"},
		"an expired cart": {"/checkout", []string{"key", "k"}, func(v *visitor) string {
			return expired(t, a, v.cartID, item(a, 0, 0))
		}, http.StatusConflict, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			v := enter(t, a)
			if test.cart != nil {
				v.cart = test.cart(v)
			}
			if status, page := v.post(test.path, test.fields...); status != test.status || !strings.Contains(page, test.says) {
				t.Errorf("status %d: %s", status, page)
			}
		})
	}
	if available, sold := left(t, a); available != 20 || sold != 0 {
		t.Error(available, sold)
	}
	for path, want := range map[string]int{"/products/0": 404, "/products/-1": 404, "/products/x": 404, "/nothing": 404, "/checkout/complete?order=x": 404,
		"/static/": 404, "/static/none.js": 404, "/static/%2e%2e/templates/cart.html": 404} {
		if status, _ := other.get(path); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// signed returns the cart of a shopper with these items.
func signed(t *testing.T, a *app, cartID string, items ...int64) string {
	t.Helper()
	tok, err := a.signer.signCart(cartID, cart{items})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// keeps is a valid cart of the visitor's own.
func keeps(t *testing.T, a *app, items ...int64) func(v *visitor) string {
	return func(v *visitor) string { return signed(t, a, v.cartID, items...) }
}

// expired returns a cart of eight days ago.
func expired(t *testing.T, a *app, cartID string, item int64) string {
	t.Helper()
	tok, err := a.signer.tokens.Sign(saltCart, map[string]any{"id": cartID, "items": []any{item}},
		token.SignConfig{SignedAt: time.Now().Add(-cartAge - 24*time.Hour), MaxAge: token.Forever})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestBadMessages: the same over the socket.
func TestBadMessages(t *testing.T) {
	t.Parallel()
	a := start(t, "-stock", "1")
	v, other := enter(t, a), enter(t, a)
	w := v.tab()
	for name, test := range map[string]struct {
		topic string
		cart  string
		want  string
	}{
		"the topic of another": {cartTopic(other.cartID), "", "unauthorized"},
		"the cart of another":  {cartTopic(v.cartID), signed(t, a, other.cartID, item(a, 0, 0)), "invalid_cart"},
		"a forged cart":        {cartTopic(v.cartID), "SFMyNTY.x.y", "invalid_cart"},
		"an expired cart":      {cartTopic(v.cartID), expired(t, a, v.cartID, item(a, 0, 0)), "invalid_cart"},
		"the admin's topic":    {trackerTopic, "", "unmatched topic"},
		"no product":           {"product:-1", "", "not_found"},
		"product of text":      {"product:x", "", "not_found"},
	} {
		if err := w.join(t.Context(), test.topic, map[string]string{"serialized": test.cart}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.join(t.Context(), cartTopic(v.cartID), map[string]string{"page": "/" + strings.Repeat("x", 1000)}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		event string
		item  any
		want  string
	}{
		"negative":     {"add_item", -1, "not_found"},
		"huge":         {"add_item", json.Number("1" + strings.Repeat("0", 30)), "not_found"},
		"a fraction":   {"add_item", 1.5, "not_found"},
		"a list":       {"add_item", []int{1}, "not_found"},
		"many pairs":   {"add_item", map[string]any{"item_id": item(a, 0, 0), "quantity": 1000}, "one_pair"},
		"minus one":    {"add_item", map[string]any{"item_id": item(a, 0, 0), "quantity": -1}, "one_pair"},
		"no item":      {"add_item", map[string]any{}, "not_found"},
		"unreleased":   {"add_item", item(a, 3, 0), "not_released"},
		"not in it":    {"remove_item", item(a, 0, 0), "not_found"},
		"another word": {"buy_everything", 1, "unknown_event"},
	} {
		payload, ok := test.item.(map[string]any)
		if !ok {
			payload = map[string]any{"item_id": test.item}
		}
		r, err := w.ask(t.Context(), cartTopic(v.cartID), test.event, payload)
		if err != nil || r.Status != "error" || !strings.Contains(string(r.Response), test.want) {
			t.Errorf("%s: %s %s, %v", name, r.Status, r.Response, err)
		}
	}
	// Nothing has changed.
	if r, err := w.ask(t.Context(), cartTopic(v.cartID), "remove_item", map[string]any{"item_id": item(a, 0, 0)}); err != nil || !strings.Contains(string(r.Response), "not_found") {
		t.Errorf("%s %s, %v", r.Status, r.Response, err)
	}
	if available, sold := left(t, a); available != 20 || sold != 0 {
		t.Error(available, sold)
	}
	if pages := a.tracker.Get(trackerTopic, v.cartID); len(pages) != 1 || !strings.Contains(string(pages[0]), `"page":"other"`) {
		t.Errorf("%s", pages)
	}
	for name, tok := range map[string]string{"none": "", "a form's": v.csrf, "a session's": v.session} {
		for _, path := range []string{"/socket", "/admin_socket"} {
			if _, err := v.open(path, tok); err == nil {
				t.Errorf("%s connects with the token %s", path, name)
			}
		}
	}
	if _, err := v.open("/admin_socket", v.token); err == nil {
		t.Error("a shopper connects as the admin")
	}
}

func TestHTMLInNamesIsText(t *testing.T) {
	t.Parallel()
	p := &store.Product{ID: 1, Brand: "<script>", Name: `"><img>`, Color: "<i>", PriceUSD: 1, MainImageURL: "javascript:alert(1)", Released: true,
		Items: []store.Item{{ID: 2, Size: `<b onclick="x">`, Available: 1}}}
	for name, data := range map[string]any{
		"list":  &visit{Products: []*store.Product{p}},
		"lines": &visit{Lines: []line{{ID: 2, Brand: p.Brand, Name: p.Name, Color: p.Color, Size: p.Items[0].Size}}},
		"one":   &visit{Product: p},
		"admin": adminPage{Products: adminProducts([]*store.Product{p}, 1, audience{}), Pages: pageRows([]*store.Product{p}, audience{})},
	} {
		html, err := renderText(name, data)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"<script>", "<img>", "<i>", "<b onclick", `src="javascript:`} {
			if strings.Contains(html, bad) {
				t.Errorf("%s has %s", name, bad)
			}
		}
	}
}

func TestTheAdminIsAlone(t *testing.T) {
	t.Parallel()
	a := start(t)
	v := enter(t, a)
	for path, form := range map[string]url.Values{"/admin": nil, "/admin/release": {"product_id": {"4"}}, "/admin/restock": {"item_id": {"1"}, "pairs": {"1"}}} {
		method := http.MethodGet
		if form != nil {
			method = http.MethodPost
		}
		if status, header, _, err := v.do(t.Context(), method, path, form); err != nil || status != http.StatusUnauthorized || header.Get("WWW-Authenticate") == "" {
			t.Error(path, status, err)
		}
	}
	// The browser sends the password by itself: without a form's token it is of no use.
	for name, form := range map[string]url.Values{"none": {"csrf": {""}}, "a shopper's": {"csrf": {v.csrf}}} {
		form.Set("product_id", id(a.inventory.Products()[3].ID))
		if status, _ := admin(t, a, "/admin/release", form); status != http.StatusForbidden {
			t.Error(name, status)
		}
	}
	for _, test := range []struct {
		item, pairs string
		status      int
	}{
		{"-1", "1", http.StatusNotFound},
		{"x", "1", http.StatusNotFound},
		{"99999999999999999999", "1", http.StatusNotFound},
		{"9223372036854775807", "1", http.StatusNotFound},
		{"1", "-1", http.StatusBadRequest},
		{"1", "0", http.StatusBadRequest},
		{"1", "1001", http.StatusBadRequest},
		{"1", "99999999999999999999", http.StatusBadRequest},
		{"1", "1e3", http.StatusBadRequest},
	} {
		if status, page := admin(t, a, "/admin/restock", url.Values{"item_id": {test.item}, "pairs": {test.pairs}}); status != test.status {
			t.Error(test, status, page)
		}
	}
	if available, _ := left(t, a); available != 500 {
		t.Error(available, "pairs are left")
	}
	if a.inventory.Products()[3].Released {
		t.Error("released")
	}
	if status, _ := admin(t, a, "/admin/release", url.Values{"product_id": {id(a.inventory.Products()[3].ID)}}); status != http.StatusSeeOther || !a.inventory.Products()[3].Released {
		t.Error(status)
	}
}

// TestTheAdminSeesTheTruth: shoppers, their pages and carts, and what was sold.
func TestTheAdminSeesTheTruth(t *testing.T) {
	t.Parallel()
	a := start(t, "-stock", "3")
	shoe := item(a, 0, 0)
	var shoppers []*visitor
	for range 3 {
		v := enter(t, a)
		v.tab(cartTopic(v.cartID))
		shoppers = append(shoppers, v)
	}
	shoppers[0].tab(cartTopic(shoppers[0].cartID)) // a second page of the first
	for _, v := range shoppers[:2] {
		if _, err := v.wires[0].ask(t.Context(), cartTopic(v.cartID), "add_item", map[string]any{"item_id": shoe}); err != nil {
			t.Fatal(err)
		}
	}
	status, page := admin(t, a, "/admin", nil)
	tok := strings.Split(strings.SplitN(page, `data-token="`, 2)[1], `"`)[0]
	if status != http.StatusOK {
		t.Fatal(status)
	}
	v := enter(t, a)
	w, err := v.open("/admin_socket", tok)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.join(t.Context(), trackerTopic, struct{}{}); err != nil {
		t.Fatal(err)
	}
	var state map[string]struct{ Metas []meta }
	v.next("presence_state", &state)
	tabs, carts := 0, 0
	for _, s := range state {
		tabs += len(s.Metas)
		carts += len(s.Metas[0].Items)
	}
	if len(state) != 3 || tabs != 4 || carts != 2 {
		t.Errorf("%d shoppers, %d pages, %d in carts: %v", len(state), tabs, carts, state)
	}
	buyer := shoppers[2]
	buyer.post("/cart/add", "item_id", id(shoe))
	if status, _ := buyer.post("/checkout", "key", "k"); status != http.StatusSeeOther {
		t.Error(status)
	}
	begun := time.Now()
	var f figures
	for f.Sold != 1 || f.Items[shoe] != 2 {
		v.next("figures", &f)
	}
	shoppers[1].wires[0].close()
	var diff struct {
		Leaves map[string]struct{ Metas []meta }
	}
	for diff.Leaves[shoppers[1].cartID].Metas == nil {
		v.next("presence_diff", &diff)
	}
	t.Log("the admin has seen the sale and the leave", time.Since(begun), "later")
}

func TestConfig(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	short := filepath.Join(t.TempDir(), "short")
	for file, text := range map[string]string{secret: strings.Repeat("s", minSecret) + "\n", short: "short"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ args, says string }{
		{"", ""},
		{"-shoppers 10 -json", ""},
		{"-cluster nats://127.0.0.1:1 -database x -secret-file " + secret, ""},
		{"-addr 0.0.0.0:80 -plaintext -secret-file " + secret + " -admin-password-file " + secret, ""},
		{"-addr 0.0.0.0:80", "needs -plaintext"},
		{"-addr nowhere", "host:port"},
		{"-stock -1", "-stock -1"},
		{"-released 5", "-released 5"},
		{"-shoppers -1", "-shoppers"},
		{"-json", "-json needs -shoppers"},
		{"-shops http://127.0.0.1:1", "needs -shoppers and -database"},
		{"-shoppers 1 -database x -shops ftp://x", "http://host:port"},
		{"-for -1s", "-for"},
		{"-cluster embedded", "needs -database"},
		{"-cluster smoke", "-cluster is neither"},
		{"-cluster redis://%zz:secret@x -database x -secret-file " + secret, "not the URL of a Redis"},
		{"-cluster redis://u:secret/x@host:1 -database x -secret-file " + secret, "not the URL of a Redis"},
		{"-cluster nats://u:secret/x@host:1 -database x -secret-file " + secret, "not the URL of a NATS"},
		{"-cluster nats://a:1,u:secret/x@host:1 -database x -secret-file " + secret, "not the URL of a NATS"},
		{"-cluster http://u:secret@host:1 -database x -secret-file " + secret, "-cluster is neither"},
		{"-shoppers 1 -database x -shops http://u:secret@x/path", "http://host:port"},
		{"-join 127.0.0.1:1", "-join needs -cluster"},
		{"-node a", "-node needs"},
		{"-secret-file " + short, "20 bytes or more"},
		{"-secret-file /no/such/file", "-secret-file"},
		{"-log-level loud", "-log-level"},
		{"-admin-attempts 0", "-admin-attempts 0"},
		{"surplus", "unexpected argument"},
		{"-no-such-flag", "not defined"},
	} {
		var stderr bytes.Buffer
		c, err := parseConfig(strings.Fields(test.args), io.Discard, &stderr)
		if (err == nil) != (test.says == "") || !strings.Contains(stderr.String(), test.says) {
			t.Errorf("%q: %v, %s", test.args, err, &stderr)
		}
		if err == nil && (len(c.Secret) < minSecret || len(c.AdminPassword) < 8) {
			t.Errorf("%q: a short secret", test.args)
		}
		if strings.Contains(stderr.String(), ":secret") {
			t.Errorf("%q: the password is shown", test.args)
		}
	}
	var help bytes.Buffer
	if code := command(t.Context(), []string{"-h"}, &help, io.Discard); code != 0 || !strings.Contains(help.String(), "-shoppers") {
		t.Error(code, help.String())
	}
	if code := command(t.Context(), []string{"-stock", "x"}, io.Discard, io.Discard); code != 2 {
		t.Error(code)
	}
	if code := command(t.Context(), []string{"-addr", "127.0.0.1:0", "-database", "/no/such/folder/x.db"}, io.Discard, io.Discard); code != 1 {
		t.Error(code)
	}
}

// TestARestartKeepsCarts: a cart lives in the browser, and is valid with the same secret.
func TestARestartKeepsCarts(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 30)), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-addr", "127.0.0.1:0", "-database", filepath.Join(t.TempDir(), "shop.db"), "-secret-file", secret}
	begin := func() (*app, func()) {
		cfg, err := parseConfig(args, io.Discard, logWriter{t})
		if err != nil {
			t.Fatal(err)
		}
		a, err := newApp(t.Context(), cfg, quiet(t))
		if err != nil {
			t.Fatal(err)
		}
		return a, serve(t, a)
	}
	a, stop := begin()
	v := enter(t, a)
	v.post("/cart/add", "item_id", id(item(a, 1, 1)))
	stop()
	b, _ := begin()
	w := enter(t, b)
	w.session, w.cart, w.csrf = v.session, v.cart, v.csrf
	if status, page := w.get("/cart"); status != http.StatusOK || !strings.Contains(page, "ember, size 8") {
		t.Error(status, page)
	}
	if status, page := w.post("/checkout", "key", "k"); status != http.StatusSeeOther {
		t.Error(status, page)
	}
	if got := fmt.Sprint(left(t, b)); got != "499 1" {
		t.Error(got)
	}
}
