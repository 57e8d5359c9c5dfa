package main

import (
	"context"
	"strings"
	"sync"

	"github.com/penstock-go/penstock/examples/sneakers/store"
)

// line is an item of a cart as pages and clients get it.
type line struct {
	ID           int64  `json:"id"`
	SKU          string `json:"sku"`
	Brand        string `json:"brand"`
	Name         string `json:"name"`
	Color        string `json:"color"`
	Size         string `json:"size"`
	PriceUSD     int    `json:"price_usd"`
	MainImageURL string `json:"main_image_url"`
	Released     bool   `json:"released"`
	Out          bool   `json:"out_of_stock"`
}

// lines returns the items of a cart with what is known of them now.
func (a *app) lines(c cart) []line {
	lines := []line{}
	for _, id := range c.items {
		p, it := a.inventory.Item(id)
		if p == nil {
			continue
		}
		lines = append(lines, line{it.ID, it.SKU, p.Brand, p.Name, p.Color, it.Size, p.PriceUSD, p.MainImageURL, p.Released, it.Available == 0})
	}
	return lines
}

// cartView is what a client gets of its cart: data, the token to keep, and the same as HTML.
type cartView struct {
	Items      []line `json:"items"`
	Serialized string `json:"serialized"`
	HTML       string `json:"html"`
}

// cartView renders the cart of a shopper.
func (a *app) cartView(id string, c cart) (view cartView, err error) {
	v := &visit{CartID: id, cart: c}
	v.fill(a)
	if v.CSRF, err = a.signer.text(saltForm, id, formAge); err != nil {
		return view, err
	}
	if view.Serialized, err = a.signer.signCart(id, c); err != nil {
		return view, err
	}
	view.Items = v.Lines
	view.HTML, err = renderText("lines", v)
	return view, err
}

// renderText executes a template.
func renderText(name string, data any) (string, error) {
	var b strings.Builder
	err := templates.ExecuteTemplate(&b, name, data)
	return b.String(), err
}

// rendered keeps the sizes of each product as HTML, which all its clients get alike.
type rendered struct {
	mu    sync.Mutex
	sizes map[int64]renderedSizes // by product
}

// renderedSizes is of one state of a product, which never changes in place.
type renderedSizes struct {
	product *store.Product
	html    string
}

// of returns the sizes of a product as HTML.
func (r *rendered) of(p *store.Product) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.sizes[p.ID]; known.product == p {
		return known.html, nil
	}
	html, err := renderText("sizes", p)
	if err != nil {
		return "", err
	}
	if r.sizes == nil {
		r.sizes = make(map[int64]renderedSizes)
	}
	r.sizes[p.ID] = renderedSizes{p, html}
	return html, nil
}

// tellTabs sends a cart that a form has changed to the shopper's open tabs.
func (a *app) tellTabs(ctx context.Context, id string, c cart, added, removed []int64) {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	update, err := a.cartUpdate(id, c, added, removed)
	if err == nil {
		_, err = a.endpoint.Broadcast(ctx, cartTopic(id), cartUpdated, update)
	}
	if err != nil {
		a.log.Debug("open tabs learn of a cart when they are loaded again", "error", err)
	}
}
