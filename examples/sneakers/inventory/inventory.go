package inventory

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-go/penstock/examples/sneakers/store"
	"github.com/penstock-go/penstock/pubsub"
)

// Topic is where nodes report what they have changed.
const Topic = "inventory_replication"

// The events on Topic.
const (
	markReleased = "mark_product_released"
	itemSold     = "item_sold"
)

// Loader reads the database.
type Loader interface {
	Products(ctx context.Context) ([]store.Product, error)
}

// Config configures an Inventory. Hub and Loader are required.
type Config struct {
	Hub    *pubsub.Hub
	Loader Loader
	// Changed is called for each change of the copy, after it, one call at a time. It must
	// not block, nor change the inventory. Default: nothing is called.
	Changed func(Change)
	// Refresh is how often the copy is read anew although no loss was reported.
	// Default: 500 ms.
	Refresh time.Duration
	// Logger receives what fails, at most one line a second. Default: slog.Default.
	Logger *slog.Logger
}

// Inventory is a copy of the products and their stock. All methods may be called from any
// goroutine.
type Inventory struct {
	cfg          Config
	subscription *pubsub.Subscription
	reports      *reports

	// Held while a change is taken over and reported, so that reports keep its order.
	changing sync.Mutex
	// Guards state. Locked after changing.
	mu    sync.RWMutex
	state state
}

// New subscribes to the other nodes and then reads the database, so that nothing falls in
// between.
func New(ctx context.Context, cfg Config) (*Inventory, error) {
	if cfg.Hub == nil || cfg.Loader == nil {
		return nil, errors.New("inventory: Hub and Loader are required")
	}
	if cfg.Changed == nil {
		cfg.Changed = func(Change) {}
	}
	if cfg.Refresh <= 0 {
		cfg.Refresh = 500 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	v := &Inventory{cfg: cfg, reports: newReports()}
	var err error
	if v.subscription, err = cfg.Hub.Subscribe(Topic, v.reports); err != nil {
		return nil, err
	}
	if err := v.Reload(ctx); err != nil {
		v.subscription.Unsubscribe()
		return nil, err
	}
	return v, nil
}

// Run takes over what other nodes report, and keeps the copy in step with the database,
// until ctx is done. Then it ends the subscription.
func (v *Inventory) Run(ctx context.Context) {
	defer v.subscription.Unsubscribe()
	// A goroutine of its own: a database that is slow delays no report.
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() { v.refresh(ctx) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.reports.wake:
			for _, f := range v.reports.take() {
				v.change(f)
			}
		}
	}
}

// refresh reads the database at an interval, and after losses.
func (v *Inventory) refresh(ctx context.Context) {
	ticker := time.NewTicker(v.cfg.Refresh)
	defer ticker.Stop()
	var failed time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-v.reports.lost:
		}
		if err := v.Reload(ctx); err != nil && ctx.Err() == nil && time.Since(failed) >= time.Second {
			failed = time.Now()
			v.cfg.Logger.Warn("the inventory could not be read: what is shown may be old", "error", err)
		}
	}
}

// Reload reads the database now.
func (v *Inventory) Reload(ctx context.Context) error {
	products, err := v.cfg.Loader.Products(ctx)
	if err != nil {
		return err
	}
	v.change(func(s *state) []Change { return s.load(products) })
	return nil
}

// Products returns all products. Nothing of the result may be changed.
func (v *Inventory) Products() []*store.Product {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.state.products
}

// Product returns a product, or nil. It may not be changed.
func (v *Inventory) Product(id int64) *store.Product {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.state.byID[id]
}

// Item returns a size and its product, or nil. The product may not be changed.
func (v *Inventory) Item(id int64) (*store.Product, store.Item) {
	v.mu.RLock()
	p := v.state.byID[v.state.product[id]]
	v.mu.RUnlock()
	if it, ok := find(p, id); ok {
		return p, it
	}
	return nil, store.Item{}
}

// Released takes over that this node has released a product, and tells the other nodes.
func (v *Inventory) Released(ctx context.Context, product int64) {
	v.change(func(s *state) []Change { return s.release(product) })
	v.replicate(ctx, markReleased, released{product})
}

// Sold takes over what this node's transaction has left of some sizes, and tells the other
// nodes. It serves for stock that was added as well.
func (v *Inventory) Sold(ctx context.Context, stocks []store.Stock) {
	for _, now := range stocks {
		v.change(func(s *state) []Change { return s.stock(now) })
		v.replicate(ctx, itemSold, now)
	}
}

// released is the payload of mark_product_released.
type released struct {
	ProductID int64 `json:"product_id"`
}

// replicate tells the other nodes. A failure needs no second attempt: they read the
// database anew.
func (v *Inventory) replicate(ctx context.Context, event string, payload any) {
	if _, err := v.cfg.Hub.BroadcastFrom(ctx, v.subscription, Topic, event, payload); err != nil {
		v.cfg.Logger.Debug("other nodes learn of a change by reading it", "event", event, "error", err)
	}
}

// change applies f to the copy and reports what it has changed.
func (v *Inventory) change(f func(*state) []Change) {
	v.changing.Lock()
	defer v.changing.Unlock()
	v.mu.Lock()
	changes := f(&v.state)
	v.mu.Unlock()
	for _, c := range changes {
		v.cfg.Changed(c)
	}
}
