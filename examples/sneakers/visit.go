package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/penstock-go/penstock/examples/sneakers/store"
)

// The cookies. The cart's can be read by the page's script, which keeps it up to date: its
// token is signed, and of no use with another session.
const (
	sessionCookie = "sneakers_session"
	cartCookie    = "sneakers_cart"
)

// visit is one request of a shopper: what every page needs to know. Its exported fields are
// those of the templates.
type visit struct {
	cart cart

	CartID, SocketToken, CSRF string
	Title, News, NewsKind     string

	Products []*store.Product
	Product  *store.Product
	Lines    []line
	Total    int
	AnyOut   bool
	Key      string
	Order    store.Order
}

// CartCount is the number of items in the cart.
func (v *visit) CartCount() int { return len(v.cart.items) }

// chooser is the form with a product's sizes.
type chooser struct {
	CSRF    string
	Product *store.Product
}

// Chooser returns the form of a product.
func (v *visit) Chooser(p *store.Product) chooser { return chooser{v.CSRF, p} }

// withVisit serves a page to a shopper, who gets a session with the first one. Posts need
// the token of a form of this session.
func (a *app) withVisit(serve func(w http.ResponseWriter, r *http.Request, v *visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protect(w, r)
		w.Header().Set("Cache-Control", "no-store")
		v, err := a.newVisit(w, r)
		if err == nil && r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			if parseErr := r.ParseForm(); parseErr != nil {
				err = refusal{http.StatusBadRequest, "This form cannot be read"}
			} else if !a.signer.checkForm(r.PostForm.Get("csrf"), v.CartID) {
				err = refusal{http.StatusForbidden, "This form is not of this shop, or too old: go back and load the page again"}
			}
		}
		if err == nil {
			err = serve(w, r, v)
		}
		var refused refusal
		switch {
		case err == nil:
		case errors.As(err, &refused):
			v.Title = refused.text
			err = render(w, refused.status, "refused", v)
		default:
			if !errors.Is(err, context.Canceled) {
				a.log.Error("a page failed", "path", r.URL.Path, "error", err)
			}
			http.Error(w, "The shop has a problem. Nothing was changed; try again.", http.StatusInternalServerError)
			return
		}
		if err != nil {
			a.log.Debug("a page was not sent", "error", err)
		}
	})
}

// maxForm bounds the body of a form, in bytes.
const maxForm = 8 << 10

// newVisit reads the session and the cart of a request. What is not valid is replaced: a
// forged or expired cart is an empty one.
func (a *app) newVisit(w http.ResponseWriter, r *http.Request) (v *visit, err error) {
	v = &visit{}
	if c, err := r.Cookie(sessionCookie); err == nil {
		v.CartID, _ = a.signer.session(c.Value)
	}
	if v.CartID == "" {
		v.CartID = newCartID()
		value, err := a.signer.text(saltSession, v.CartID, cartAge)
		if err != nil {
			return v, err
		}
		http.SetCookie(w, a.cookie(sessionCookie, value, true))
	}
	if c, err := r.Cookie(cartCookie); err == nil {
		if v.cart, err = a.signer.readCart(v.CartID, c.Value); err != nil {
			v.News, v.NewsKind = "Your cart was too old, or not yours: it is empty now.", "warn"
			a.forgetCart(w)
		}
	}
	if v.SocketToken, err = a.signer.text(saltShop, v.CartID, cartAge); err != nil {
		return v, err
	}
	if v.CSRF, err = a.signer.text(saltForm, v.CartID, formAge); err != nil {
		return v, err
	}
	v.Key = rand.Text()
	v.fill(a)
	return v, nil
}

// fill works out what templates show of the cart.
func (v *visit) fill(a *app) {
	v.Lines = a.lines(v.cart)
	v.sum()
}

// sum adds up what can be bought.
func (v *visit) sum() {
	v.Total, v.AnyOut = 0, false
	for _, l := range v.Lines {
		if l.Out {
			v.AnyOut = true
		} else {
			v.Total += l.PriceUSD
		}
	}
}

func (a *app) cookie(name, value string, httpOnly bool) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: int(cartAge / time.Second), HttpOnly: httpOnly,
		Secure: a.cfg.Plaintext, SameSite: http.SameSiteLaxMode}
}

// keepCart makes the browser keep a cart.
func (a *app) keepCart(w http.ResponseWriter, id string, c cart) error {
	value, err := a.signer.signCart(id, c)
	if err == nil {
		http.SetCookie(w, a.cookie(cartCookie, value, false))
	}
	return err
}

func (a *app) forgetCart(w http.ResponseWriter) {
	c := a.cookie(cartCookie, "", false)
	c.MaxAge = -1
	http.SetCookie(w, c)
}
