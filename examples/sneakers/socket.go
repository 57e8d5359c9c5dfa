package main

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// shopper is the state of a connection: the cart that its token names.
type shopper struct{ cartID string }

// openSocket mounts what shoppers connect to.
func (a *app) openSocket() error {
	socket := websocket.NewSocket(websocket.SocketConfig[shopper]{
		Name: "ProductSocket",
		// The token is in the page, not in a cookie: a page of another site cannot read it.
		Connect: func(_ context.Context, r *websocket.ConnectRequest) (shopper, error) {
			id, err := a.signer.readText(saltShop, r.AuthToken)
			if err != nil || !validCartID(id) {
				return shopper{}, errToken
			}
			return shopper{id}, nil
		},
		ID: func(s shopper) string { return "shopper:" + s.cartID },
	})
	socket.Channel(productPrefix+"*", func(_ shopper, topic string) websocket.Handler {
		return &productChannel{app: a, id: strings.TrimPrefix(topic, productPrefix)}
	})
	socket.ChannelWith(cartPrefix+"*", websocket.ChannelConfig{Intercept: []string{cartUpdated}}, func(s shopper, topic string) websocket.Handler {
		return &cartChannel{app: a, owner: s.cartID, id: strings.TrimPrefix(topic, cartPrefix)}
	})
	return a.endpoint.Mount("/socket", socket, websocket.MountConfig{AuthToken: true})
}

// productChannel follows one product. It takes nothing from the client.
type productChannel struct {
	app     *app
	id      string // of the topic
	product int64
}

// productState is the payload of state, which a client gets after it has joined, so that
// nothing is missing between the page that it has loaded and the first event.
type productState struct {
	ProductID int64             `json:"product_id"`
	Released  bool              `json:"released"`
	Levels    map[string]string `json:"levels"`    // by item
	SizeHTML  string            `json:"size_html"` // if it is released
}

// HandleJoin implements websocket.Handler.
func (c *productChannel) HandleJoin(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
	var err error
	if c.product, err = parseID(c.id); err != nil || c.app.inventory.Product(c.product) == nil {
		return nil, websocket.Refuse("not_found")
	}
	return nil, nil
}

// HandleJoined implements websocket.JoinedHandler: what changes from now on comes as an
// event.
func (c *productChannel) HandleJoined(_ context.Context, ch *websocket.Channel) error {
	p := c.app.inventory.Product(c.product)
	if p == nil {
		return websocket.ErrStopped
	}
	state := productState{ProductID: p.ID, Released: p.Released}
	if p.Released {
		state.Levels = make(map[string]string, len(p.Items))
		for _, it := range p.Items {
			state.Levels[strconv.FormatInt(it.ID, 10)] = level(it.Available)
		}
		var err error
		if state.SizeHTML, err = c.app.rendered.of(p); err != nil {
			return err
		}
	}
	return ch.Push("state", state)
}

// HandleIn implements websocket.InHandler: there is nothing that a client may send.
func (c *productChannel) HandleIn(context.Context, *websocket.Channel, string, websocket.Payload) (websocket.Reply, error) {
	return websocket.Fail(map[string]string{"error": "unknown_event"}), nil
}

// cartErrors are the errors that clients get by name.
var cartErrors = []error{errDuplicate, errNotFound, errNotReleased, errCartFull, errQuantity}

// failure is the reply for an error of a cart.
func failure(err error) websocket.Reply {
	for _, known := range cartErrors {
		if errors.Is(err, known) {
			return websocket.Fail(map[string]string{"error": known.Error()})
		}
	}
	return websocket.Fail(map[string]string{"error": "bad_request"})
}
