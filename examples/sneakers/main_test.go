package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet is a log of which a test sees warnings only.
func quiet(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type logWriter struct{ t *testing.T }

func (w logWriter) Write(line []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(line))
	return len(line), nil
}

// start runs a shop on a free port until the end of the test.
func start(t *testing.T, args ...string) *app {
	t.Helper()
	a, _ := startNode(t, args...)
	return a
}

// startNode is start for a test that ends the shop itself.
func startNode(t *testing.T, args ...string) (a *app, stop func()) {
	t.Helper()
	cfg, err := parseConfig(append([]string{"-addr", "127.0.0.1:0"}, args...), io.Discard, logWriter{t})
	if err != nil {
		t.Fatal(err)
	}
	a, err = newApp(t.Context(), cfg, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	return a, serve(t, a)
}

// serve runs a shop until the end of the test, or until stop is called.
func serve(t *testing.T, a *app) (stop func()) {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() { ended <- a.run(ctx, func() { close(ready) }) }()
	stop = sync.OnceFunc(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return stop
}

// event is something that came over a connection.
type event struct {
	topic, event string
	payload      json.RawMessage
}

// visitor is a shopper whose events a test reads.
type visitor struct {
	*client
	t      *testing.T
	events chan event
	wires  []*wire
}

// enter loads the list of shoes.
func enter(t *testing.T, a *app) *visitor {
	t.Helper()
	transport := &http.Transport{}
	if p, ok := a.listener.(*pipes); ok {
		transport.DialContext = p.dial
	}
	hc := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	v := &visitor{client: newClient(hc, []string{a.address()}, 0), t: t, events: make(chan event, 1000)}
	v.dials = hc
	t.Cleanup(func() {
		for _, w := range v.wires {
			w.close()
		}
		transport.CloseIdleConnections()
	})
	if err := v.browse(t.Context()); err != nil {
		t.Fatal(err)
	}
	return v
}

// open opens a tab: a connection with a token.
func (v *visitor) open(path, tok string) (*wire, error) {
	w, err := dial(v.t.Context(), v.dials, v.base(), path, tok, func(topic, name string, payload json.RawMessage) {
		v.events <- event{topic, name, payload}
	})
	if err == nil {
		v.wires = append(v.wires, w)
	}
	return w, err
}

// tab opens a tab and joins topics.
func (v *visitor) tab(topics ...string) *wire {
	v.t.Helper()
	w, err := v.open("/socket", v.token)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, topic := range topics {
		if err := w.join(v.t.Context(), topic, map[string]string{"serialized": v.cart, "page": "/"}); err != nil {
			v.t.Fatal(err)
		}
	}
	return w
}

// one waits for an event.
func (v *visitor) one(what string) event {
	v.t.Helper()
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	select {
	case e := <-v.events:
		return e
	case <-timeout.C:
		v.t.Fatalf("no %s has come", what)
		panic("unreachable")
	}
}

// next waits for an event of a name, and decodes its payload.
func (v *visitor) next(name string, payload any) {
	v.t.Helper()
	for {
		e := v.one(name)
		if e.event != name {
			continue
		}
		if payload != nil {
			if err := json.Unmarshal(e.payload, payload); err != nil {
				v.t.Fatal(err)
			}
		}
		return
	}
}

// post posts a form with its token, and returns the status and the page.
func (v *visitor) post(path string, fields ...string) (int, string) {
	v.t.Helper()
	form := url.Values{"csrf": {v.csrf}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	status, header, page, err := v.do(v.t.Context(), http.MethodPost, path, form)
	if err != nil {
		v.t.Fatal(err)
	}
	return status, page + header.Get("Location")
}

func (v *visitor) get(path string) (int, string) {
	v.t.Helper()
	status, _, page, err := v.do(v.t.Context(), http.MethodGet, path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return status, page
}

func left(t *testing.T, a *app) (available, sold int) {
	t.Helper()
	account, err := a.store.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if account.Oversold != 0 || account.Stocked != account.Available+account.Sold {
		t.Errorf("the account does not add up: %+v", account)
	}
	return account.Available, account.Sold
}

func id(n int64) string { return strconv.FormatInt(n, 10) }

// item returns the nth size of the nth shoe.
func item(a *app, product, size int) int64 { return a.inventory.Products()[product].Items[size].ID }

func TestTheShopWorksWithoutAScript(t *testing.T) {
	t.Parallel()
	a := start(t, "-stock", "1")
	v := enter(t, a)
	shoe := item(a, 0, 0)
	if status, page := v.post("/cart/add", "item_id", id(shoe)); status != http.StatusSeeOther || page != "/cart" {
		t.Fatal(status, page)
	}
	if status, page := v.get("/cart"); status != http.StatusOK || !strings.Contains(page, "size 7") || !strings.Contains(page, "Total <strong>$120") {
		t.Fatal(status, page)
	}
	if status, page := v.post("/cart/add", "item_id", id(item(a, 0, 1))); status != http.StatusConflict || !strings.Contains(page, "one size") {
		t.Error(status, page)
	}
	// A double click buys once: the second comes with the cart, or without it.
	cart := v.cart
	var page string
	for range 2 {
		v.cart = cart
		var status int
		if status, page = v.post("/checkout", "key", "k1"); status != http.StatusSeeOther || !strings.HasPrefix(page, "/checkout/complete?order=") {
			t.Fatal(status, page)
		}
	}
	if v.cart != "" {
		t.Error("the cart is kept")
	}
	if status, again := v.post("/checkout", "key", "k1"); status != http.StatusSeeOther || again != page {
		t.Error(status, again)
	}
	if status, complete := v.get(page); status != http.StatusOK || !strings.Contains(complete, "$120") {
		t.Error(status, complete)
	}
	if _, sold := left(t, a); sold != 1 {
		t.Error(sold, "pairs sold")
	}
	// The page of another shopper for that order is not there.
	if status, _ := enter(t, a).get(page); status != http.StatusNotFound {
		t.Error(status)
	}
}

func TestTheLoserLearnsWhichItemIsGone(t *testing.T) {
	t.Parallel()
	a := start(t, "-stock", "1")
	first, second := enter(t, a), enter(t, a)
	last, other := item(a, 0, 0), item(a, 1, 0)
	for _, v := range []*visitor{first, second} {
		v.post("/cart/add", "item_id", id(last))
	}
	second.post("/cart/add", "item_id", id(other))
	if status, _ := first.post("/checkout", "key", "a"); status != http.StatusSeeOther {
		t.Fatal(status)
	}
	status, page := second.post("/checkout", "key", "b")
	if status != http.StatusConflict || !strings.Contains(page, "Harbor Low, size 7, is sold out") || !strings.Contains(page, `class="line out"`) {
		t.Error(status, page)
	}
	if available, sold := left(t, a); sold != 1 || available != 19 {
		t.Error(available, sold)
	}
	second.post("/cart/remove", "item_id", id(last))
	if status, _ := second.post("/checkout", "key", "b"); status != http.StatusSeeOther {
		t.Error(status)
	}
	// An old page, whose key has bought something else, buys nothing more.
	second.post("/cart/add", "item_id", id(item(a, 0, 1)))
	if status, page := second.post("/checkout", "key", "b"); status != http.StatusConflict || !strings.Contains(page, "earlier order") {
		t.Error(status, page)
	}
	if _, sold := left(t, a); sold != 2 {
		t.Error(sold)
	}
}

func TestOpenPagesSeeAReleaseAndTheStock(t *testing.T) {
	t.Parallel()
	a := start(t, "-stock", "2", "-released", "0")
	v := enter(t, a)
	p := a.inventory.Products()[0]
	v.tab(productTopic(p.ID))
	var state productState
	if v.next("state", &state); state.Released || state.ProductID != p.ID || state.SizeHTML != "" {
		t.Error(state)
	}
	if changed, err := a.release(t.Context(), p.ID); err != nil || !changed {
		t.Fatal(changed, err)
	}
	var r releasedEvent
	v.next(released, &r)
	for _, it := range p.Items {
		if !strings.Contains(r.SizeHTML, "size-container__entry") || !strings.Contains(r.SizeHTML, `value="`+id(it.ID)+`"`) {
			t.Error(r.SizeHTML)
		}
	}
	// Two pairs are low: the first sale changes no level, and the second does.
	buyer := enter(t, a)
	for _, key := range []string{"a", "b"} {
		buyer.post("/cart/add", "item_id", id(p.Items[0].ID))
		if status, page := buyer.post("/checkout", "key", key); status != http.StatusSeeOther {
			t.Fatal(status, page)
		}
	}
	var change stockEvent
	if v.next(stockChange, &change); change != (stockEvent{p.ID, p.Items[0].ID, levelOut}) {
		t.Error(change)
	}
	// A page that is opened now begins with the truth.
	v.tab(productTopic(p.ID))
	if v.next("state", &state); !state.Released || state.Levels[id(p.Items[0].ID)] != levelOut || !strings.Contains(state.SizeHTML, " disabled>") {
		t.Error(state)
	}
	if err := v.wires[0].join(t.Context(), "product:999", nil); err == nil || !strings.Contains(err.Error(), "not_found") {
		t.Error(err)
	}
}

func TestTabsShareACart(t *testing.T) {
	t.Parallel()
	a := start(t, "-stock", "1")
	v := enter(t, a)
	one := v.tab(cartTopic(v.cartID))
	var view cartView
	v.next("cart", &view)
	two := v.tab(cartTopic(v.cartID))
	v.next("cart", &view)
	shoe := item(a, 0, 2)
	ask := func(w *wire, event string, id any) string {
		t.Helper()
		r, err := w.ask(t.Context(), cartTopic(v.cartID), event, map[string]any{"item_id": id})
		if err != nil {
			t.Fatal(err)
		}
		if r.Status == "ok" {
			if err := json.Unmarshal(r.Response, &view); err != nil {
				t.Fatal(err)
			}
			v.cart = view.Serialized
			return "ok"
		}
		var e struct{ Error string }
		if err := json.Unmarshal(r.Response, &e); err != nil {
			t.Fatal(err)
		}
		return e.Error
	}
	// A number, or the value of a button.
	if got := ask(one, "add_item", id(shoe)); got != "ok" || len(view.Items) != 1 || view.Items[0].Size != "9" {
		t.Error(got, view)
	}
	if v.next("cart", &view); len(view.Items) != 1 { // the other tab
		t.Error(view)
	}
	for want, id := range map[string]any{
		"duplicate_item": shoe, "not_found": 1 << 50, "not_released": item(a, 3, 0),
	} {
		if got := ask(two, "add_item", id); got != want {
			t.Errorf("%v: %s, not %s", id, got, want)
		}
	}
	if got := ask(two, "remove_item", item(a, 1, 0)); got != "not_found" {
		t.Error(got)
	}
	// A form of a third tab, without a script.
	if status, _ := v.post("/cart/add", "item_id", id(item(a, 1, 1))); status != http.StatusSeeOther {
		t.Error(status)
	}
	for range 2 {
		if v.next("cart", &view); len(view.Items) != 2 {
			t.Error(view)
		}
	}
	// Another shopper takes the last pair of the first: both tabs show it at once.
	buyer := enter(t, a)
	buyer.post("/cart/add", "item_id", id(shoe))
	buyer.post("/checkout", "key", "k")
	for range 2 {
		if v.next("cart", &view); !view.Items[0].Out || !strings.Contains(view.HTML, "Sold out") {
			t.Error(view)
		}
	}
	// The cart that the browser keeps is that of a new tab.
	if got := ask(two, "remove_item", shoe); got != "ok" {
		t.Error(got)
	}
	v.next("cart", nil)
	one.close()
	two.close()
	v.tab(cartTopic(v.cartID))
	if v.next("cart", &view); len(view.Items) != 1 || view.Items[0].Size != "8" {
		t.Error(view)
	}
}

func TestAlertsReachTheShoppersChannel(t *testing.T) {
	t.Parallel()
	a, stop := startNode(t, "-stock", "6")
	v := enter(t, a)
	w := v.tab(cartTopic(v.cartID))
	shoe := item(a, 0, 0)
	if r, err := w.ask(t.Context(), cartTopic(v.cartID), "add_item", map[string]any{"item_id": shoe}); err != nil || r.Status != "ok" {
		t.Fatal(r, err)
	}
	buyer := enter(t, a)
	for n := range 6 {
		buyer.post("/cart/add", "item_id", id(shoe))
		if status, page := buyer.post("/checkout", "key", strconv.Itoa(n)); status != http.StatusSeeOther {
			t.Fatal(status, page)
		}
	}
	var got alert
	if v.next("push_timed", &got); got.Kind != almostGone || got.ItemID != shoe || time.Since(time.UnixMilli(got.At)) > time.Minute {
		t.Error(got)
	}
	status, _ := admin(t, a, "/admin/restock", url.Values{"item_id": {id(shoe)}, "pairs": {"3"}})
	if status != http.StatusSeeOther {
		t.Error(status)
	}
	if v.next("push_timed", &got); got.Kind != back || !strings.Contains(got.Text, "Harbor Low, size 7, is back") {
		t.Error(got)
	}
	stop() // all that was sent is measured by its end
	if n, p99 := a.alerted.percentile(99); n != 2 || p99 <= 0 {
		t.Error(n, "alerts were measured", p99)
	}
}

// admin posts a form of the admin, or loads a page without one.
func admin(t *testing.T, a *app, path string, form url.Values) (int, string) {
	t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
		if !form.Has("csrf") {
			tok, err := a.signer.text(saltForm, adminName, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			form.Set("csrf", tok)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, a.address()+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(adminName, a.cfg.AdminPassword)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(page)
}

// TestMustHold is the shop's promise on a small scale: the load mode runs the large one.
func TestMustHold(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]string{"embedded": "", "a file": filepath.Join(t.TempDir(), "shop.db")} {
		t.Run(name, func(t *testing.T) {
			args := []string{"-addr", "127.0.0.1:0", "-shoppers", "40", "-stock", "2", "-for", "30s", "-json", "-log-level", "warn", "-database", database}
			var out bytes.Buffer
			if code := command(t.Context(), args, &out, logWriter{t}); code != 0 {
				t.Fatal("exit code", code)
			}
			var r result
			if err := json.Unmarshal(out.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			t.Log(out.String())
			if r.Shoppers != 40 || r.Stocked != 40 || r.Sold != 40 || r.Bought != 40 || r.Left != 0 || r.Oversold != 0 || r.Missed != 0 || r.Errors != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}
