package main

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/examples/sneakers/store"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// alert is a push to one shopper: a size in the cart is almost gone, or back.
type alert struct {
	cartID string
	ItemID int64  `json:"item_id"`
	Kind   string `json:"kind"` // almost_gone or back
	Text   string `json:"text"`
	// At is when it was enqueued, in unix milliseconds; at the same with all its digits.
	At int64 `json:"at"`
	at time.Time

	trace trace.Context
}

// The kinds of alerts.
const (
	almostGone = "almost_gone"
	back       = "back"
)

// wanted are the carts that hold an item, by item, as the tabs of this node have them.
type wanted struct {
	mu    sync.Mutex
	carts map[int64]map[string]int // how many tabs
}

// change notes what a tab's cart holds now and no longer.
func (w *wanted) change(cartID string, added, removed []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.carts == nil {
		w.carts = make(map[int64]map[string]int)
	}
	for _, id := range added {
		if w.carts[id] == nil {
			w.carts[id] = make(map[string]int)
		}
		w.carts[id][cartID]++
	}
	for _, id := range removed {
		tabs := w.carts[id]
		if tabs[cartID]--; tabs[cartID] <= 0 {
			delete(tabs, cartID)
		}
		if len(tabs) == 0 {
			delete(w.carts, id)
		}
	}
}

// by returns the carts that hold an item.
func (w *wanted) by(id int64) (carts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for cartID := range w.carts[id] {
		carts = append(carts, cartID)
	}
	return carts
}

// alertsFor reports whether this node alerts a cart to an item. An alert goes to all tabs of
// the cart at all nodes, and each node has seen the change: of those at which a tab with the
// item is open, the one whose name comes first alerts. While nodes do not know yet of each
// other's tabs, an alert can come twice; while one that died counts as up, it is missed.
func (a *app) alertsFor(cartID string, item int64) bool {
	for _, raw := range a.tracker.Get(trackerTopic, cartID) {
		var m meta
		if json.Unmarshal(raw, &m) == nil && m.Node < a.hub.Node() && slices.Contains(m.Items, item) {
			return false
		}
	}
	return true
}

// alert pushes what has become of an item to those who have it in their cart. It does not
// block: a shopper whose queue is full misses an alert, which the queue counts and logs.
func (a *app) alert(it *store.Item, before, now string) {
	var kind, text string
	switch {
	case before == levelOut:
		kind, text = back, a.itemName(it.ID)+" is back."
	case now == levelLow && before != levelLow:
		kind, text = almostGone, a.itemName(it.ID)+" is almost gone."
	default:
		return
	}
	for _, cartID := range a.wanted.by(it.ID) {
		if !a.alertsFor(cartID, it.ID) {
			continue
		}
		a.enqueue(alert{cartID: cartID, ItemID: it.ID, Kind: kind, Text: text})
	}
}

// openAlerts makes the pipeline of alerts: a queue that stamps them, the fair dispatcher, so
// that a shopper with many is no burden to the others, and the shoppers' own channels.
func (a *app) openAlerts() (err error) {
	key := func(p alert) string { return p.cartID }
	a.alerts, err = producer.NewQueue(producer.QueueConfig[alert]{
		Key: key, KeyMaxEvents: 64, Capacity: 100_000, Metrics: a.recorder, Logger: a.log,
		Stamp: func(p *alert, at time.Time) { p.at, p.At = at, at.UnixMilli() },
	})
	if err != nil {
		return err
	}
	shoppers, err := fair.New(key, fair.Config[alert]{})
	if err != nil {
		return err
	}
	sockets, err := delivery.New(a.endpoint, delivery.Config[alert]{
		Topic: func(p alert) string { return cartTopic(p.cartID) }, Event: "push_timed",
		// One who has left since does not come back within a second for this.
		Grace: time.Second, DiscardOnDrain: true,
		Enqueued:  func(p alert) time.Time { return p.at },
		Delivered: func(p alert, at time.Time) { a.alerted.observe(at.Sub(p.at)) },
		Metrics:   a.recorder, Logger: a.log,
	})
	if err != nil {
		return err
	}
	source, err := stage.NewProducer(a.alerts, stage.ProducerConfig[alert]{Name: "alerts", Dispatcher: shoppers, Logger: a.log})
	if err != nil {
		return err
	}
	end, err := stage.NewConsumer(sockets, stage.ConsumerConfig{Name: "sockets", Logger: a.log})
	if err != nil {
		return err
	}
	if _, err := end.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		return err
	}
	a.pipeline, err = stage.NewPipeline(stage.PipelineConfig{DrainTimeout: 2 * time.Second, Metrics: a.recorder, Tracer: a.tracer, Logger: a.log}, source, end)
	return err
}

// latencies are the last measurements of something, at most maxLatencies.
type latencies struct {
	mu    sync.Mutex
	count int
	last  []time.Duration
}

const maxLatencies = 10_000

func (l *latencies) observe(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.last) < maxLatencies {
		l.last = append(l.last, d)
	} else {
		l.last[l.count%maxLatencies] = d
	}
	l.count++
}

// percentile returns how many there were, and what so many percent of the last ones did not
// exceed.
func (l *latencies) percentile(p float64) (int, time.Duration) {
	l.mu.Lock()
	sorted := slices.Clone(l.last)
	count := l.count
	l.mu.Unlock()
	if count == 0 {
		return 0, 0
	}
	slices.Sort(sorted)
	return count, sorted[min(len(sorted)-1, int(float64(len(sorted))*p/100))]
}
