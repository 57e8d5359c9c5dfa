package main

import (
	"errors"
	"slices"

	"github.com/penstock-go/penstock/examples/sneakers/store"
)

// maxItems bounds the items of a cart.
const maxItems = store.MaxItems

// The errors of a cart, whose texts are what clients get.
var (
	errDuplicate   = errors.New("duplicate_item") // the size, or another one of the shoe, is in the cart
	errNotFound    = errors.New("not_found")      // no such item, in the shop or in the cart
	errNotReleased = errors.New("not_released")
	errCartFull    = errors.New("cart_full")
	errQuantity    = errors.New("one_pair") // of a size can be bought, and a client asked for others
)

// cart is the list of what a shopper wants, the oldest first: at most one size of a shoe.
// It is a value: methods return the changed one.
type cart struct{ items []int64 }

// stock is what a cart needs to know of the shop.
type stock interface {
	Item(id int64) (*store.Product, store.Item)
}

// add adds an item.
func (c cart) add(in stock, id int64) (cart, error) {
	p, _ := in.Item(id)
	switch {
	case p == nil:
		return c, errNotFound
	case !p.Released:
		return c, errNotReleased
	case c.sizeOf(in, p) != 0:
		return c, errDuplicate
	case len(c.items) >= maxItems:
		return c, errCartFull
	}
	return cart{append(slices.Clone(c.items), id)}, nil
}

// sizeOf returns the item of a product that is in the cart, or 0.
func (c cart) sizeOf(in stock, p *store.Product) int64 {
	for _, id := range c.items {
		if q, _ := in.Item(id); q != nil && q.ID == p.ID {
			return id
		}
	}
	return 0
}

// remove removes an item.
func (c cart) remove(id int64) (cart, error) {
	if !slices.Contains(c.items, id) {
		return c, errNotFound
	}
	return cart{slices.DeleteFunc(slices.Clone(c.items), func(i int64) bool { return i == id })}, nil
}

// merge takes over what another tab has changed, so that the tabs of a shopper who uses two
// at once end up with the same items: of two sizes of a shoe the one with the lower id.
func (c cart) merge(in stock, added, removed []int64) cart {
	for _, id := range removed {
		c, _ = c.remove(id) // not found: removed here as well
	}
	for _, id := range added {
		p, _ := in.Item(id)
		if p == nil {
			continue
		}
		if other := c.sizeOf(in, p); other != 0 && id < other {
			c, _ = c.remove(other)
		}
		if merged, err := c.add(in, id); err == nil {
			c = merged
		}
	}
	return c
}
