package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// client is one simulated shopper: a browser's cookies, a page, and its connection.
type client struct {
	http  *http.Client
	dials *http.Client // for WebSockets; nil: a connection of its own for each
	shops []string     // where to go next if one does not answer
	at    int          // the shop it is in

	session, cart, cartID, token, csrf string

	wire     *wire
	products []int64

	mu     sync.Mutex
	since  time.Time // of the connection: what was out before is not news
	levels map[int64]string
	outAt  map[int64]time.Time // when its page showed a size as out
	gone   map[int64]bool      // what the checkout has said is gone
	news   chan struct{}       // room for one: levels has changed
}

// newClient makes a shopper who begins at one of the shops.
func newClient(hc *http.Client, shops []string, first int) *client {
	return &client{http: hc, shops: shops, at: first % len(shops), levels: make(map[int64]string), outAt: make(map[int64]time.Time),
		gone: make(map[int64]bool), news: make(chan struct{}, 1)}
}

func (c *client) base() string { return strings.TrimRight(c.shops[c.at], "/") }

// next goes to another shop.
func (c *client) next() { c.at = (c.at + 1) % len(c.shops) }

// What a page says to its script.
var (
	pageCart    = regexp.MustCompile(`data-cart-id="([^"]+)" data-token="([^"]+)"`)
	pageForm    = regexp.MustCompile(`name="csrf" value="([^"]+)"`)
	pageProduct = regexp.MustCompile(`<article class="shoe" data-product-id="(\d+)"`)
)

// browse loads the list of shoes.
func (c *client) browse(ctx context.Context) error {
	status, _, page, err := c.do(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return err
	}
	ids, form := pageCart.FindStringSubmatch(page), pageForm.FindStringSubmatch(page)
	if status != http.StatusOK || ids == nil || form == nil {
		return fmt.Errorf("the page has status %d and %d bytes", status, len(page))
	}
	c.cartID, c.token, c.csrf = ids[1], ids[2], form[1]
	c.products = nil
	for _, m := range pageProduct.FindAllStringSubmatch(page, -1) {
		id, _ := strconv.ParseInt(m[1], 10, 64) // digits only
		c.products = append(c.products, id)
	}
	return nil
}

// connect opens the page's connection and joins its topics.
func (c *client) connect(ctx context.Context) error {
	w, err := dial(ctx, c.dials, c.base(), "/socket", c.token, c.got)
	if err != nil {
		return err
	}
	if err := w.join(ctx, cartTopic(c.cartID), map[string]string{"serialized": c.cart, "page": "/"}); err != nil {
		w.close()
		return err
	}
	for _, id := range c.products {
		if err := w.join(ctx, productTopic(id), struct{}{}); err != nil {
			w.close()
			return err
		}
	}
	c.wire = w
	c.mu.Lock()
	c.since = time.Now()
	c.mu.Unlock()
	return nil
}

// errRefused: what the shopper wants is gone.
var errRefused = errors.New("sold out")

// buy puts a size into the cart and checks out: errRefused if it is gone.
func (c *client) buy(ctx context.Context, item int64) error {
	if err := c.change(ctx, "add_item", item); err != nil {
		return err
	}
	form := url.Values{"csrf": {c.csrf}, "key": {rand.Text()}}
	status, header, page, err := c.do(ctx, http.MethodPost, "/checkout", form)
	// The key makes it safe to ask another node, whether or not the first has bought it.
	for tries := 0; err != nil && ctx.Err() == nil && tries < 2*len(c.shops); tries++ {
		c.next()
		status, header, page, err = c.do(ctx, http.MethodPost, "/checkout", form)
	}
	switch {
	case err != nil:
		return err
	case status == http.StatusSeeOther:
		c.cart = ""
		return nil
	case status == http.StatusConflict && header.Get("X-Sold-Out") != "":
		c.mu.Lock()
		c.gone[item] = true
		c.mu.Unlock()
		return errors.Join(errRefused, c.change(ctx, "remove_item", item))
	}
	return fmt.Errorf("the checkout has status %d: %.300s", status, page)
}

// change changes the cart over its channel, and keeps it as the page's script does.
func (c *client) change(ctx context.Context, event string, item int64) error {
	r, err := c.wire.ask(ctx, cartTopic(c.cartID), event, map[string]int64{"item_id": item})
	if err != nil {
		return err
	}
	var view cartView
	if r.Status != "ok" || json.Unmarshal(r.Response, &view) != nil {
		return fmt.Errorf("%s %d: %s", event, item, r.Response)
	}
	c.cart = view.Serialized
	return nil
}

// do sends a request with the shopper's cookies.
func (c *client) do(ctx context.Context, method, path string, form url.Values) (status int, header http.Header, page string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base()+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range map[string]string{sessionCookie: c.session, cartCookie: c.cart} {
		if value != "" {
			req.AddCookie(&http.Cookie{Name: name, Value: value})
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	for _, cookie := range resp.Cookies() {
		switch cookie.Name {
		case sessionCookie:
			c.session = cookie.Value
		case cartCookie:
			c.cart = cookie.Value
		}
	}
	return resp.StatusCode, resp.Header, string(body), err
}

// leave closes the page.
func (c *client) leave() {
	if c.wire != nil {
		c.wire.close()
		c.wire = nil
	}
}
