package main

import (
	"context"
	"slices"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// The topic of a shopper's cart, and the event between the tabs of one.
const (
	cartPrefix  = "cart:"
	cartUpdated = "cart_updated"
)

func cartTopic(id string) string { return cartPrefix + id }

// trackerTopic is where carts are tracked. Only the socket of the admin can join it.
const trackerTopic = "admin:cart_tracker"

// meta is what is tracked of a tab with a cart.
type meta struct {
	Page         string  `json:"page"`
	PageLoadedAt int64   `json:"page_loaded_at"` // unix milliseconds
	Items        []int64 `json:"items"`
	Node         string  `json:"node"` // that the tab is connected to
}

// cartUpdate is the payload of cart_updated.
type cartUpdate struct {
	Serialized string  `json:"serialized"`
	Added      []int64 `json:"added"`
	Removed    []int64 `json:"removed"`
}

func (a *app) cartUpdate(id string, c cart, added, removed []int64) (cartUpdate, error) {
	serialized, err := a.signer.signCart(id, c)
	return cartUpdate{serialized, added, removed}, err
}

// cartChannel is one tab of a shopper. Its cart is a copy of the one that the browser keeps.
type cartChannel struct {
	app       *app
	owner, id string // of the connection, and of the topic
	cart      cart
	meta      meta
	wants     []int64 // what app.wanted has of this tab
}

// HandleJoin implements websocket.Handler.
func (c *cartChannel) HandleJoin(_ context.Context, _ *websocket.Channel, payload websocket.Payload) (any, error) {
	params, err := joinParams(payload)
	if err != nil {
		return nil, websocket.Refuse("bad_request")
	}
	if c.id != c.owner {
		return nil, websocket.Refuse("unauthorized")
	}
	if c.cart, err = c.app.signer.readCart(c.id, params.Serialized); err != nil {
		return nil, websocket.Refuse("invalid_cart")
	}
	c.meta = meta{Page: pageName(params.Page), PageLoadedAt: time.Now().UnixMilli(), Node: c.app.hub.Node()}
	return nil, nil
}

// HandleJoined implements websocket.JoinedHandler.
func (c *cartChannel) HandleJoined(_ context.Context, ch *websocket.Channel) error {
	// Subscribed first, so that the cart that is pushed then misses nothing.
	if err := c.follow(ch, c.cart.items, nil); err != nil {
		return err
	}
	c.meta.Items = c.items()
	if _, err := c.app.tracker.Track(ch.Context(), trackerTopic, c.id, c.meta); err != nil {
		return err
	}
	return c.push(ch)
}

// HandleInfo implements websocket.InfoHandler. What comes is item_out: a size of the cart is
// sold out, or back.
func (c *cartChannel) HandleInfo(_ context.Context, ch *websocket.Channel, _ any) error {
	return c.push(ch)
}

// items are those of the cart, and never nil.
func (c *cartChannel) items() []int64 { return append([]int64{}, c.cart.items...) }

// HandleIn implements websocket.InHandler.
func (c *cartChannel) HandleIn(ctx context.Context, ch *websocket.Channel, event string, payload websocket.Payload) (websocket.Reply, error) {
	id, err := itemID(payload)
	var changed cart
	var added, removed []int64
	switch {
	case event == "add_item" && err == nil:
		changed, err = c.cart.add(c.app.inventory, id)
		added = []int64{id}
	case event == "remove_item" && err == nil:
		changed, err = c.cart.remove(id)
		removed = []int64{id}
	case err == nil:
		return websocket.Fail(map[string]string{"error": "unknown_event"}), nil
	}
	if err != nil {
		return failure(err), nil
	}
	c.cart = changed
	if err := c.follow(ch, added, removed); err != nil {
		return websocket.Reply{}, err
	}
	update, err := c.app.cartUpdate(c.id, c.cart, added, removed)
	if err != nil {
		return websocket.Reply{}, err
	}
	c.track(ch)
	if _, err := ch.BroadcastFrom(ctx, cartUpdated, update); err != nil {
		c.app.log.Debug("tabs at other nodes learn of a cart when they are loaded again", "error", err)
	}
	view, err := c.app.cartView(c.id, c.cart)
	return websocket.OK(view), err
}

// HandleOut implements websocket.OutHandler: another tab has changed the cart.
func (c *cartChannel) HandleOut(_ context.Context, ch *websocket.Channel, _ string, payload websocket.Payload) error {
	var update cartUpdate
	if err := payload.Decode(&update); err != nil {
		return err
	}
	before := c.cart.items
	c.cart = c.cart.merge(c.app.inventory, update.Added, update.Removed)
	missing := func(in []int64) func(int64) bool { return func(id int64) bool { return !slices.Contains(in, id) } }
	added := slices.DeleteFunc(slices.Clone(c.cart.items), func(id int64) bool { return !missing(before)(id) })
	removed := slices.DeleteFunc(slices.Clone(before), func(id int64) bool { return !missing(c.cart.items)(id) })
	if err := c.follow(ch, added, removed); err != nil {
		return err
	}
	c.track(ch)
	return c.push(ch)
}

// follow subscribes to what becomes of items, and ends it for those that were removed.
func (c *cartChannel) follow(ch *websocket.Channel, added, removed []int64) error {
	for _, id := range removed {
		ch.Unsubscribe(itemOutTopic(id))
	}
	for _, id := range added {
		if err := ch.Subscribe(itemOutTopic(id)); err != nil {
			return err
		}
	}
	c.want(added, removed)
	return nil
}

// want notes in app.wanted what this tab wants now and no longer.
func (c *cartChannel) want(added, removed []int64) {
	added = slices.DeleteFunc(slices.Clone(added), func(id int64) bool { return slices.Contains(c.wants, id) })
	removed = slices.DeleteFunc(slices.Clone(removed), func(id int64) bool { return !slices.Contains(c.wants, id) })
	c.app.wanted.change(c.id, added, removed)
	c.wants = slices.DeleteFunc(append(c.wants, added...), func(id int64) bool { return slices.Contains(removed, id) })
}

// track shows the admin what is in the cart now.
func (c *cartChannel) track(ch *websocket.Channel) {
	c.meta.Items = c.items()
	if _, err := c.app.tracker.Update(ch.Context(), trackerTopic, c.id, c.meta); err != nil {
		c.app.log.Debug("a cart is not tracked", "error", err)
	}
}

// push sends the client its cart.
func (c *cartChannel) push(ch *websocket.Channel) error {
	view, err := c.app.cartView(c.id, c.cart)
	if err != nil {
		return err
	}
	return ch.Push("cart", view)
}

// HandleTerminate implements websocket.TerminateHandler.
func (c *cartChannel) HandleTerminate(context.Context, *websocket.Channel, error) {
	c.want(nil, c.wants) // which are none, if it ends before it has joined
}
