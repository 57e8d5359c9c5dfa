package main

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"

	"github.com/penstock-go/penstock/examples/sneakers/store"
)

// shelf is a shop of shoes with two sizes each: product n has the items 10n and 10n+1. The
// last one is not released.
type shelf []*store.Product

func newShelf(n int64) (s shelf) {
	for i := int64(1); i <= n; i++ {
		s = append(s, &store.Product{ID: i, Released: i < n, Items: []store.Item{{ID: 10 * i, ProductID: i}, {ID: 10*i + 1, ProductID: i}}})
	}
	return s
}

func (s shelf) Item(id int64) (*store.Product, store.Item) {
	for _, p := range s {
		for _, it := range p.Items {
			if it.ID == id {
				return p, it
			}
		}
	}
	return nil, store.Item{}
}

func TestCart(t *testing.T) {
	s := newShelf(30)
	full := cart{}
	for i := range int64(maxItems) {
		var err error
		if full, err = full.add(s, 10*(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name   string
		cart   cart
		do     func(cart) (cart, error)
		want   []int64
		failed error
	}{
		{"add", cart{}, func(c cart) (cart, error) { return c.add(s, 10) }, []int64{10}, nil},
		{"add again", cart{[]int64{10}}, func(c cart) (cart, error) { return c.add(s, 10) }, []int64{10}, errDuplicate},
		{"another size", cart{[]int64{10}}, func(c cart) (cart, error) { return c.add(s, 11) }, []int64{10}, errDuplicate},
		{"another shoe", cart{[]int64{10}}, func(c cart) (cart, error) { return c.add(s, 21) }, []int64{10, 21}, nil},
		{"unknown", cart{}, func(c cart) (cart, error) { return c.add(s, 12) }, nil, errNotFound},
		{"negative", cart{}, func(c cart) (cart, error) { return c.add(s, -10) }, nil, errNotFound},
		{"unreleased", cart{}, func(c cart) (cart, error) { return c.add(s, 300) }, nil, errNotReleased},
		{"full", full, func(c cart) (cart, error) { return c.add(s, 250) }, full.items, errCartFull},
		{"remove", cart{[]int64{10, 21}}, func(c cart) (cart, error) { return c.remove(10) }, []int64{21}, nil},
		{"remove what is not there", cart{[]int64{10}}, func(c cart) (cart, error) { return c.remove(11) }, []int64{10}, errNotFound},
		{"merge", cart{[]int64{10, 21}}, func(c cart) (cart, error) { return c.merge(s, []int64{30, 99}, []int64{10, 77}), nil }, []int64{21, 30}, nil},
	} {
		got, err := test.do(test.cart)
		if !slices.Equal(got.items, test.want) || !errors.Is(err, test.failed) {
			t.Errorf("%s: %v, %v", test.name, got.items, err)
		}
	}
}

// TestTabsConverge: two tabs add at once, and each then hears of the other.
func TestTabsConverge(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	r, s := rand.New(rand.NewPCG(seed, 0)), newShelf(6)
	for range 1000 {
		a, b := cart{}, cart{}
		x, y := 10*(1+r.Int64N(5))+r.Int64N(2), 10*(1+r.Int64N(5))+r.Int64N(2)
		a, _ = a.add(s, x)
		b, _ = b.add(s, y)
		a, b = a.merge(s, []int64{y}, nil), b.merge(s, []int64{x}, nil)
		slices.Sort(a.items)
		slices.Sort(b.items)
		if !slices.Equal(a.items, b.items) {
			t.Fatalf("%d and %d: %v and %v", x, y, a.items, b.items)
		}
	}
}

// TestTabsForgetWhatWasBought: no cart that a tab gets after a purchase has what was bought,
// also the one that comes since the last pair is gone: the browser would keep it.
func TestTabsForgetWhatWasBought(t *testing.T) {
	t.Parallel()
	a := start(t, "-stock", "1")
	v := enter(t, a)
	v.tab(cartTopic(v.cartID))
	var view cartView
	v.next("cart", &view)
	if status, _ := v.post("/cart/add", "item_id", id(item(a, 0, 2))); status != http.StatusSeeOther {
		t.Fatal(status)
	}
	if v.next("cart", &view); len(view.Items) != 1 {
		t.Fatal(view)
	}
	if status, page := v.post("/checkout", "key", "k"); status != http.StatusSeeOther {
		t.Fatal(status, page)
	}
	// That the pair was the last may be shown before the cart is known to be empty.
	for v.next("cart", &view); len(view.Items) != 0; v.next("cart", &view) {
		if len(view.Items) != 1 || !view.Items[0].Out {
			t.Fatalf("after the purchase the tab has %+v", view.Items)
		}
	}
}
