package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/penstock-go/penstock/examples/sneakers/store"
)

// adminName is the user of /admin, and what the admin's tokens carry.
const adminName = "admin"

// adminRoutes are behind basic auth.
func (a *app) adminRoutes(mux *http.ServeMux) {
	mux.Handle("GET /admin", a.forAdmin(a.showAdmin))
	mux.Handle("GET /admin/{$}", a.forAdmin(a.showAdmin))
	// For a page whose connection was away for longer than its token is valid.
	mux.Handle("GET /admin/token", a.forAdmin(func(w http.ResponseWriter, _ *http.Request) error {
		tok, err := a.adminToken()
		if err == nil {
			w.Header().Set("Content-Type", "application/json")
			err = json.NewEncoder(w).Encode(tok)
		}
		return err
	}))
	mux.Handle("POST /admin/release", a.forAdmin(func(w http.ResponseWriter, r *http.Request) error {
		id, err := parseID(r.PostForm.Get("product_id"))
		if err == nil {
			_, err = a.release(r.Context(), id)
		}
		return a.adminDone(w, r, err)
	}))
	mux.Handle("POST /admin/restock", a.forAdmin(func(w http.ResponseWriter, r *http.Request) error {
		id, err := parseID(r.PostForm.Get("item_id"))
		pairs, convErr := strconv.Atoi(r.PostForm.Get("pairs"))
		if err == nil && (convErr != nil || pairs < 1 || pairs > 1000) {
			return refusal{http.StatusBadRequest, "1 to 1000 pairs can be added"}
		}
		var stock store.Stock
		if err == nil {
			stock, err = a.store.Restock(r.Context(), id, pairs)
		}
		if err == nil {
			ctx, cancel := afterwards(r.Context())
			defer cancel()
			a.inventory.Sold(ctx, []store.Stock{stock})
		}
		return a.adminDone(w, r, err)
	}))
}

// release makes a product buyable, in the database first, and notifies all nodes.
func (a *app) release(ctx context.Context, product int64) (changed bool, err error) {
	if changed, err = a.store.Release(ctx, product); err != nil || !changed {
		return changed, err
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	a.inventory.Released(ctx, product)
	return true, nil
}

func (a *app) adminDone(w http.ResponseWriter, r *http.Request, err error) error {
	if errors.Is(err, store.ErrUnknown) || errors.Is(err, errNotFound) {
		return refusal{http.StatusNotFound, "There is no such shoe"}
	}
	if err == nil {
		at := "/admin"
		if shoe, err := parseID(r.PostForm.Get("shoe")); err == nil {
			at += "#shoe-" + strconv.FormatInt(shoe, 10) // where the button was
		}
		http.Redirect(w, r, at, http.StatusSeeOther)
	}
	return err
}

// adminToken is the payload of token: what the admin's page connects with the next time.
type adminToken struct {
	Token string `json:"token"`
}

func (a *app) adminToken() (tok adminToken, err error) {
	tok.Token, err = a.signer.text(saltAdmin, adminName, adminAge)
	return tok, err
}

func (a *app) showAdmin(w http.ResponseWriter, r *http.Request) error {
	page, err := a.adminPage(r.Context())
	if err != nil {
		return err
	}
	return render(w, http.StatusOK, "admin", page)
}

// forAdmin serves requests with the admin's password; posts need the token of a form, too.
func (a *app) forAdmin(serve func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protect(w, r)
		w.Header().Set("Cache-Control", "no-store")
		if !a.gate.pass(w, r) {
			return
		}
		var err error
		if r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			if r.ParseForm() != nil || !a.signer.checkForm(r.PostForm.Get("csrf"), adminName) {
				http.Error(w, "This form is too old: load the page again.", http.StatusForbidden)
				return
			}
		}
		if err = serve(w, r); err == nil {
			return
		}
		var refused refusal
		if errors.As(err, &refused) {
			http.Error(w, refused.text, refused.status)
			return
		}
		a.log.Error("a page of the admin failed", "path", r.URL.Path, "error", err)
		http.Error(w, "The shop has a problem.", http.StatusInternalServerError)
	})
}
