package main

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-go/penstock/examples/sneakers/store"
)

// postAdd puts an item into the cart, without a script.
func (a *app) postAdd(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := parseID(r.PostForm.Get("item_id"))
	if q := r.PostForm.Get("quantity"); q != "" && q != "1" {
		err = errQuantity
	}
	if err == nil {
		v.cart, err = v.cart.add(a.inventory, id)
	}
	if err != nil {
		return cartRefusal(err)
	}
	return a.changed(w, r, v, []int64{id}, nil)
}

// postRemove takes an item out of the cart, without a script.
func (a *app) postRemove(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := parseID(r.PostForm.Get("item_id"))
	if err == nil {
		v.cart, err = v.cart.remove(id)
	}
	if err != nil {
		return cartRefusal(err)
	}
	return a.changed(w, r, v, nil, []int64{id})
}

// changed keeps the cart, tells the shopper's open tabs, and shows the cart.
func (a *app) changed(w http.ResponseWriter, r *http.Request, v *visit, added, removed []int64) error {
	if err := a.keepCart(w, v.CartID, v.cart); err != nil {
		return err
	}
	a.tellTabs(r.Context(), v.CartID, v.cart, added, removed)
	http.Redirect(w, r, "/cart", http.StatusSeeOther)
	return nil
}

// cartRefusal is the page for an error of a cart.
func cartRefusal(err error) error {
	switch {
	case errors.Is(err, errDuplicate):
		return refusal{http.StatusConflict, "This shoe is in your cart already, one size of it is allowed"}
	case errors.Is(err, errNotReleased):
		return refusal{http.StatusConflict, "This shoe cannot be bought yet"}
	case errors.Is(err, errQuantity):
		return refusal{http.StatusBadRequest, "One pair of a size can be bought"}
	case errors.Is(err, errCartFull):
		return refusal{http.StatusConflict, "Your cart is full"}
	}
	return refusal{http.StatusNotFound, "There is no such item"}
}

// postCheckout buys the cart. It works without a script, and a double click buys once.
func (a *app) postCheckout(w http.ResponseWriter, r *http.Request, v *visit) error {
	key := r.PostForm.Get("key")
	if len(v.cart.items) == 0 {
		// The first of two clicks has bought it and emptied the cart.
		order, err := a.store.OrderByKey(r.Context(), v.CartID, key)
		if errors.Is(err, store.ErrUnknown) {
			return refusal{http.StatusConflict, "Your cart is empty"}
		} else if err != nil {
			return err
		}
		return complete(w, r, order)
	}
	order, err := a.store.Checkout(r.Context(), store.Purchase{CartID: v.CartID, Key: key, Items: v.cart.items})
	var gone *store.GoneError
	switch {
	case errors.As(err, &gone):
		a.refused.Add(1)
		v.Title, v.NewsKind = "Checkout", "bad"
		v.News = "Nothing was bought. " + a.goneText(gone)
		v.fill(a)
		markOut(v, gone)
		w.Header().Set("X-Sold-Out", ids(gone.SoldOut)) // for programs
		return render(w, http.StatusConflict, "checkout", v)
	case errors.Is(err, store.ErrPurchase):
		return refusal{http.StatusBadRequest, "This is not a purchase: load the page again"}
	case err != nil:
		return err
	}
	if order.Repeated {
		bought := slices.Sorted(slices.Values(v.cart.items))
		if !slices.Equal(bought, order.Items) {
			// The page is that of an earlier order: its key buys nothing more.
			v.Title, v.News, v.NewsKind = "Checkout", "This page was of an earlier order. Nothing was bought: look again, and buy.", "warn"
			return render(w, http.StatusConflict, "checkout", v)
		}
		a.forgetCart(w)
		return complete(w, r, order)
	}
	a.sold.Add(int64(len(order.Stocks)))
	// Before the sale is known: tabs that learn of a size that sold out keep the cart that
	// they are sent with it, which must not have what was bought.
	a.tellTabs(r.Context(), v.CartID, cart{}, nil, order.Items)
	ctx, cancel := afterwards(r.Context())
	defer cancel()
	a.inventory.Sold(ctx, order.Stocks)
	a.forgetCart(w)
	return complete(w, r, order)
}

// complete shows an order.
func complete(w http.ResponseWriter, r *http.Request, order store.Order) error {
	http.Redirect(w, r, "/checkout/complete?order="+strconv.FormatInt(order.ID, 10), http.StatusSeeOther)
	return nil
}

// goneText names what cannot be bought.
func (a *app) goneText(gone *store.GoneError) string {
	var parts []string
	for _, id := range gone.SoldOut {
		parts = append(parts, a.itemName(id)+" is sold out.")
	}
	for _, id := range gone.NotForSale {
		parts = append(parts, a.itemName(id)+" cannot be bought.")
	}
	return strings.Join(parts, " ")
}

func (a *app) itemName(id int64) string {
	p, it := a.inventory.Item(id)
	if p == nil {
		return "An item"
	}
	return p.Brand + " " + p.Name + ", size " + it.Size + ","
}

// markOut shows what the database has said, which the copy may not know yet.
func markOut(v *visit, gone *store.GoneError) {
	for i := range v.Lines {
		if slices.Contains(gone.SoldOut, v.Lines[i].ID) {
			v.Lines[i].Out = true
		}
	}
	v.sum()
}

// ids writes item ids for a header.
func ids(items []int64) string {
	var parts []string
	for _, id := range items {
		parts = append(parts, strconv.FormatInt(id, 10))
	}
	return strings.Join(parts, ",")
}
