package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock-go/penstock/examples/sneakers/store"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// adminName is the user of /admin, and what the admin's tokens carry.
const adminName = "admin"

// adminPage is what the admin's page shows.
type adminPage struct {
	Token, CSRF, News string
	Products          []*store.Product
}

// adminRoutes are behind basic auth.
func (a *app) adminRoutes(mux *http.ServeMux) {
	mux.Handle("GET /admin", a.forAdmin(a.showAdmin))
	mux.Handle("GET /admin/{$}", a.forAdmin(a.showAdmin))
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
		http.Redirect(w, r, "/admin", http.StatusSeeOther)
	}
	return err
}

func (a *app) showAdmin(w http.ResponseWriter, _ *http.Request) (err error) {
	page := adminPage{Products: a.inventory.Products()}
	if page.Token, err = a.signer.text(saltAdmin, adminName, adminAge); err != nil {
		return err
	}
	if page.CSRF, err = a.signer.text(saltForm, adminName, formAge); err != nil {
		return err
	}
	return render(w, http.StatusOK, "admin", page)
}

// forAdmin serves requests with the admin's password; posts need the token of a form, too.
func (a *app) forAdmin(serve func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	want := sha256.Sum256([]byte(a.cfg.AdminPassword))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protect(w, r)
		w.Header().Set("Cache-Control", "no-store")
		user, password, _ := r.BasicAuth()
		// Of equal length, so that the time says nothing of the password's.
		got := sha256.Sum256([]byte(password))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || user != adminName {
			w.Header().Set("WWW-Authenticate", `Basic realm="Sneakers admin", charset="UTF-8"`)
			http.Error(w, "The admin's name and password are required.", http.StatusUnauthorized)
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

// operator is the state of an admin's connection.
type operator struct{}

// openAdminSocket mounts what the admin connects to: a socket of its own, so that no topic
// of it can be joined by a shopper.
func (a *app) openAdminSocket() error {
	socket := websocket.NewSocket(websocket.SocketConfig[operator]{
		Name: "AdminSocket",
		Connect: func(_ context.Context, r *websocket.ConnectRequest) (operator, error) {
			if name, err := a.signer.readText(saltAdmin, r.AuthToken); err != nil || name != adminName {
				return operator{}, errToken
			}
			return operator{}, nil
		},
	})
	socket.Channel(trackerTopic, func(operator, string) websocket.Handler { return &dashboard{app: a} })
	return a.endpoint.Mount("/admin_socket", socket, websocket.MountConfig{AuthToken: true})
}

// dashboard is the channel of an admin's page: presence of all carts, and figures.
type dashboard struct{ app *app }

// HandleJoin implements websocket.Handler.
func (d *dashboard) HandleJoin(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
	return nil, ch.Send(joined{})
}

// HandleInfo implements websocket.InfoHandler.
func (d *dashboard) HandleInfo(_ context.Context, ch *websocket.Channel, _ any) error {
	// In parts, if there are many carts: a task, so that the channel goes on.
	return ch.Go(func(ctx context.Context) {
		d.app.pushFigures(ctx, ch.Push)
		if err := d.app.tracker.PushState(ctx, ch.Topic(), ch.PushWritten); err != nil && ctx.Err() == nil {
			d.app.log.Warn("an admin does not get all carts", "error", err)
		}
	})
}

// HandleIn implements websocket.InHandler: what an admin does, forms do.
func (d *dashboard) HandleIn(context.Context, *websocket.Channel, string, websocket.Payload) (websocket.Reply, error) {
	return websocket.Fail(map[string]string{"error": "unknown_event"}), nil
}

// figures is the payload of figures. Counts of shoppers are not in it: those are presence.
type figures struct {
	store.Account
	At         int64         `json:"at"` // unix milliseconds
	Refused    int64         `json:"refused"`
	Alerts     int           `json:"alerts"`
	AlertP99   float64       `json:"alert_p99_ms"`
	Connection int           `json:"connections"` // of this node
	Items      map[int64]int `json:"items"`       // pairs left, by item
	Released   []int64       `json:"released"`    // products
}

// pushFigures reads the figures and gives them to push.
func (a *app) pushFigures(ctx context.Context, push func(event string, payload any) error) {
	account, err := a.store.Account(ctx)
	if err != nil {
		if ctx.Err() == nil {
			a.log.Warn("figures could not be read", "error", err)
		}
		return
	}
	f := figures{Account: account, At: time.Now().UnixMilli(), Refused: a.refused.Load(), Items: make(map[int64]int),
		Connection: a.endpoint.Snapshot().Connections, Released: []int64{}}
	var p99 time.Duration
	f.Alerts, p99 = a.alerted.percentile(99)
	f.AlertP99 = float64(p99.Microseconds()) / 1000
	for _, p := range a.inventory.Products() {
		if p.Released {
			f.Released = append(f.Released, p.ID)
		}
		for _, it := range p.Items {
			f.Items[it.ID] = it.Available
		}
	}
	if err := push("figures", f); err != nil {
		a.log.Debug("figures were not sent", "error", err)
	}
}

// sendFigures sends the figures to the admins of this node each half second, if there are any.
func (a *app) sendFigures(ctx context.Context) {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if a.hub.Subscribers(trackerTopic) > 0 {
			a.pushFigures(ctx, func(event string, payload any) error {
				_, err := a.endpoint.LocalBroadcast(trackerTopic, event, payload)
				return err
			})
		}
	}
}
