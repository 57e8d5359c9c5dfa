package main

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"

	"github.com/penstock-go/penstock/examples/sneakers/store"
)

// templates are parsed once; a mistake in one is found when the program starts.
var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"level": level, "levelText": levelText, "price": price,
}).ParseFS(web, "web/templates/*.html"))

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
		v.Title, v.Lines = "Complete", a.lines(cart{v.Order.Items})
		for i := range v.Lines {
			v.Lines[i].Out = false // if these were the last pairs: they are the shopper's
		}
		return render(w, http.StatusOK, "complete", v)
	})
	page("/", func(http.ResponseWriter, *http.Request, *visit) error {
		return refusal{http.StatusNotFound, "There is no such page"}
	})
	mux.Handle("GET /static/", staticFiles())
}

// refusal is a request that is refused with a page that says why.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

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
