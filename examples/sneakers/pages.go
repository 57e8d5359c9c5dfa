package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-go/penstock/examples/sneakers/store"
)

//go:embed web
var web embed.FS

// templates are parsed once; a mistake in one is found when the program starts.
var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"level": level, "levelText": levelText, "price": price,
}).ParseFS(web, "web/templates/*.html"))

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

// shopRoutes are the pages. All of them work without a script.
func (a *app) shopRoutes(mux *http.ServeMux) {
	page := func(pattern string, serve func(w http.ResponseWriter, r *http.Request, v *visit) error) {
		mux.Handle(pattern, a.withVisit(serve))
	}
	page("GET /{$}", func(w http.ResponseWriter, _ *http.Request, v *visit) error {
		v.Title, v.Products = "Releases", a.inventory.Products()
		return render(w, http.StatusOK, "list", v)
	})
	page("GET /products/{id}", func(w http.ResponseWriter, r *http.Request, v *visit) error {
		id, err := parseID(r.PathValue("id"))
		if v.Product = a.inventory.Product(id); err != nil || v.Product == nil {
			return refusal{http.StatusNotFound, "There is no such shoe"}
		}
		v.Title = v.Product.Name
		return render(w, http.StatusOK, "one", v)
	})
	page("GET /cart", func(w http.ResponseWriter, _ *http.Request, v *visit) error {
		v.Title = "Cart"
		return render(w, http.StatusOK, "cart", v)
	})
	page("POST /cart/add", a.postAdd)
	page("POST /cart/remove", a.postRemove)
	page("GET /checkout", func(w http.ResponseWriter, _ *http.Request, v *visit) error {
		v.Title = "Checkout"
		return render(w, http.StatusOK, "checkout", v)
	})
	page("POST /checkout", a.postCheckout)
	page("GET /checkout/complete", func(w http.ResponseWriter, r *http.Request, v *visit) error {
		id, err := parseID(r.URL.Query().Get("order"))
		if err == nil {
			v.Order, err = a.store.Order(r.Context(), v.CartID, id)
		}
		if errors.Is(err, store.ErrUnknown) || errors.Is(err, errNotFound) {
			return refusal{http.StatusNotFound, "There is no such order"}
		} else if err != nil {
			return err
		}
		v.Title = "Complete"
		return render(w, http.StatusOK, "complete", v)
	})
	page("/", func(http.ResponseWriter, *http.Request, *visit) error {
		return refusal{http.StatusNotFound, "There is no such page"}
	})
	mux.Handle("GET /static/", staticFiles())
}

// staticFiles serves pictures, style and scripts.
func staticFiles() http.Handler {
	files := http.FileServerFS(web)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") {
			http.NotFound(w, r) // no lists of files
			return
		}
		protect(w, r)
		w.Header().Set("Cache-Control", "max-age=300")
		r.URL.Path = "/web" + r.URL.Path
		files.ServeHTTP(w, r)
	})
}

// protect sets the headers of everything that is served: a page loads and talks to nothing
// but this program. The host was checked; browsers differ in whether 'self' includes
// WebSockets.
func protect(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self' ws://"+r.Host+" wss://"+r.Host+"; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
}

// refusal is a request that is refused with a page that says why.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

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
	v.Lines, v.Total, v.AnyOut = a.lines(v.cart), 0, false
	for _, l := range v.Lines {
		v.Total += l.PriceUSD
		v.AnyOut = v.AnyOut || l.Out
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

// parseID reads an id that a client has sent.
func parseID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, errNotFound
	}
	return id, nil
}

// render sends a page as a whole, or an error.
func render(w http.ResponseWriter, status int, name string, data any) error {
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, name, data); err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := page.WriteTo(w)
	return err
}
