package main

import (
	"context"
	"time"

	"github.com/penstock-go/penstock/examples/sneakers/store"
	"github.com/penstock-go/penstock/sinks/websocket"
)

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
func (d *dashboard) HandleJoin(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
	return nil, nil
}

// HandleJoined implements websocket.JoinedHandler.
func (d *dashboard) HandleJoined(_ context.Context, ch *websocket.Channel) error {
	if err := d.pushToken(ch); err != nil {
		return err
	}
	ch.SendEvery(adminAge/3, renew{})
	// In parts, if there are many carts: a task, so that the channel goes on.
	return ch.Go(func(ctx context.Context) {
		d.app.pushFigures(ctx, ch.Push)
		if err := d.app.tracker.PushState(ctx, ch.Topic(), ch.PushWritten); err != nil && ctx.Err() == nil {
			d.app.log.Warn("an admin does not get all carts", "error", err)
		}
	})
}

// renew is sent to the channel for as long as it lasts.
type renew struct{}

// HandleInfo implements websocket.InfoHandler: a page that is left open connects again,
// after a day as well, with a token that is young.
func (d *dashboard) HandleInfo(_ context.Context, ch *websocket.Channel, _ any) error {
	return d.pushToken(ch)
}

func (d *dashboard) pushToken(ch *websocket.Channel) error {
	tok, err := d.app.adminToken()
	if err != nil {
		return err
	}
	return ch.Push("token", tok)
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

// figures reads the figures.
func (a *app) figures(ctx context.Context) (figures, error) {
	account, err := a.store.Account(ctx)
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
	return f, err
}

// pushFigures reads the figures and gives them to push.
func (a *app) pushFigures(ctx context.Context, push func(event string, payload any) error) {
	f, err := a.figures(ctx)
	if err != nil {
		if ctx.Err() == nil {
			a.log.Warn("figures could not be read", "error", err)
		}
		return
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
