package main

import (
	"strconv"

	"github.com/penstock-go/penstock/examples/sneakers/inventory"
)

// The topics and events of the shop.
const (
	productPrefix = "product:"
	released      = "released"
	stockChange   = "stock_change"

	itemOutPrefix = "item_out:"
	itemOut       = "item_out"
)

func productTopic(id int64) string { return productPrefix + strconv.FormatInt(id, 10) }
func itemOutTopic(id int64) string { return itemOutPrefix + strconv.FormatInt(id, 10) }

// releasedEvent is the payload of released.
type releasedEvent struct {
	ProductID int64  `json:"product_id"`
	SizeHTML  string `json:"size_html"`
}

// stockEvent is the payload of stock_change.
type stockEvent struct {
	ProductID int64  `json:"product_id"`
	ItemID    int64  `json:"item_id"`
	Level     string `json:"level"`
}

// notify tells the clients of this node what has changed in its copy. Each node does so for
// its own, so that a client hears of a change when its node has it, and of a change that a
// gap has hidden once the copy was read anew.
func (a *app) notify(c inventory.Change) {
	var err error
	switch {
	case c.Released != nil:
		var html string
		if html, err = a.rendered.of(c.Released); err == nil {
			_, err = a.endpoint.LocalBroadcast(productTopic(c.Released.ID), released, releasedEvent{c.Released.ID, html})
		}
	case c.Item != nil:
		before, now := level(c.Before), level(c.Item.Available)
		// To go out is told in any case: carts look at nothing else.
		if before == now {
			return
		}
		p, _ := a.inventory.Item(c.Item.ID)
		if p == nil || !p.Released {
			return
		}
		_, err = a.endpoint.LocalBroadcast(productTopic(p.ID), stockChange, stockEvent{p.ID, c.Item.ID, now})
		if now == levelOut || before == levelOut {
			if _, outErr := a.hub.LocalBroadcast(nil, itemOutTopic(c.Item.ID), itemOut, nil); err == nil {
				err = outErr
			}
		}
		a.alert(c.Item, before, now)
	}
	if err != nil {
		a.log.Warn("clients were not told of a change", "error", err)
	}
}
