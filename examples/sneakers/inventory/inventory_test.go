package inventory

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/examples/sneakers/store"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// database is the truth of a test.
type database struct {
	mu       sync.Mutex
	products []store.Product
	err      error
}

func newDatabase() *database {
	return &database{products: []store.Product{
		{ID: 1, Name: "one", Released: true, Items: []store.Item{{ID: 10, ProductID: 1, Available: 2, Revision: 1}, {ID: 11, ProductID: 1, Available: 9, Revision: 1}}},
		{ID: 2, Name: "two", Items: []store.Item{{ID: 20, ProductID: 2, Available: 5, Revision: 1}}},
	}}
}

func (d *database) Products(context.Context) ([]store.Product, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	products := slices.Clone(d.products)
	for i := range products {
		products[i].Items = slices.Clone(products[i].Items)
	}
	return products, d.err
}

// sell takes a pair of item 10.
func (d *database) sell() store.Stock {
	d.mu.Lock()
	defer d.mu.Unlock()
	it := &d.products[0].Items[0]
	it.Available, it.Revision = it.Available-1, it.Revision+1
	return store.Stock{ItemID: it.ID, Available: it.Available, Revision: it.Revision}
}

func (d *database) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.products[1].Released = true
}

// node is one of several with a copy of a database.
type node struct {
	*Inventory
	mu      sync.Mutex
	changes []Change
}

func (n *node) seen() []Change {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.changes)
}

func newNode(t *testing.T, hub *pubsub.Hub, db Loader, refresh time.Duration) *node {
	t.Helper()
	n := &node{}
	v, err := New(t.Context(), Config{Hub: hub, Loader: db, Refresh: refresh, Changed: func(c Change) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.changes = append(n.changes, c)
	}})
	if err != nil {
		t.Fatal(err)
	}
	n.Inventory = v
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		v.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return n
}

func hub(t *testing.T, network *pubsubtest.Network, name string) *pubsub.Hub {
	t.Helper()
	h, _ := network.Hub(t, name, pubsub.Config{})
	return h
}

const never = 1000 * time.Hour

func TestAChangeReachesEveryNodeAndIsNotSentOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, db := pubsubtest.NewNetwork(), newDatabase()
		a, b := newNode(t, hub(t, network, "a"), db, never), newNode(t, hub(t, network, "b"), db, never)
		var sent []string
		spy := hub(t, network, "spy")
		if _, err := spy.Subscribe(Topic, pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
			sent = append(sent, m.Origin()+" "+m.Event)
			return true
		})); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		a.Sold(t.Context(), []store.Stock{db.sell()})
		db.release()
		a.Released(t.Context(), 2)
		synctest.Wait()
		for name, n := range map[string]*node{"a": a, "b": b} {
			_, it := n.Item(10)
			if it.Available != 1 || !n.Product(2).Released || n.Products()[1] != n.Product(2) {
				t.Errorf("%s has %d pairs, released %v", name, it.Available, n.Product(2).Released)
			}
			seen := n.seen()
			if len(seen) != 2 || seen[0].Item == nil || seen[0].Before != 2 || seen[0].Item.Available != 1 || seen[1].Released == nil {
				t.Errorf("%s has reported %+v", name, seen)
			}
		}
		if want := []string{"a item_sold", "a mark_product_released"}; !slices.Equal(sent, want) {
			t.Error(sent)
		}
	})
}

func TestALateReportChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase()
		n := newNode(t, hub(t, pubsubtest.NewNetwork(), "a"), db, never)
		synctest.Wait()
		first, second := db.sell(), db.sell()
		n.Sold(t.Context(), []store.Stock{second, first, second, {ItemID: 999, Revision: 9}})
		if _, it := n.Item(10); it.Available != 0 || len(n.seen()) != 1 {
			t.Error(it, n.seen())
		}
		// Nor does a reading of the database that was made before.
		old := newDatabase().products
		n.change(func(s *state) []Change { return s.load(old) })
		if _, it := n.Item(10); it.Available != 0 || len(n.seen()) != 1 {
			t.Error(it, n.seen())
		}
		n.Released(t.Context(), 2)
		n.change(func(s *state) []Change { return s.load(old) })
		if !n.Product(2).Released {
			t.Error("a release was forgotten")
		}
	})
}

func TestANodeThatWasCutOffReadsTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, db := pubsubtest.NewNetwork(), newDatabase()
		a, b := newNode(t, hub(t, network, "a"), db, never), newNode(t, hub(t, network, "b"), db, never)
		synctest.Wait()
		network.Cut("a", "b")
		a.Sold(t.Context(), []store.Stock{db.sell()})
		db.release()
		a.Released(t.Context(), 2)
		synctest.Wait()
		if _, it := b.Item(10); it.Available != 2 || b.Product(2).Released {
			t.Fatal("the cut is none")
		}
		network.Heal()
		synctest.Wait()
		if _, it := b.Item(10); it.Available != 1 || !b.Product(2).Released || len(b.seen()) != 2 {
			t.Error(it, b.seen())
		}
	})
}

// TestWhatNoNodeReportsIsFound: a node has died between its commit and its report.
func TestWhatNoNodeReportsIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase()
		n := newNode(t, hub(t, pubsubtest.NewNetwork(), "a"), db, 0)
		db.sell()
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if _, it := n.Item(10); it.Available != 1 || len(n.seen()) != 1 {
			t.Error(it, n.seen())
		}
	})
}

func TestHostileReportsAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := pubsubtest.NewNetwork()
		n, other := newNode(t, hub(t, network, "a"), newDatabase(), never), hub(t, network, "b")
		synctest.Wait()
		for event, payload := range map[string]any{
			itemSold: map[string]any{"item_id": 10, "available_count": -1, "revision": 99}, markReleased: map[string]any{"product_id": "2"}, "other": nil,
		} {
			if _, err := other.Broadcast(t.Context(), Topic, event, payload); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if _, it := n.Item(10); it.Available != 2 || n.Product(2).Released || len(n.seen()) != 0 {
			t.Error(it, n.seen())
		}
	})
}

// TestAFloodOfReports: what does not fit is read from the database.
func TestAFloodOfReports(t *testing.T) {
	r := newReports()
	for i := range maxReports + 1 {
		if took := r.put(func(*state) []Change { return nil }); took != (i < maxReports) {
			t.Fatal(i, took)
		}
	}
	if len(r.lost) != 1 || len(r.wake) != 1 || len(r.take()) != maxReports {
		t.Error(len(r.lost), len(r.wake))
	}
}

func TestADatabaseThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase()
		db.err = errors.New("away")
		h := hub(t, pubsubtest.NewNetwork(), "a")
		if _, err := New(t.Context(), Config{Hub: h, Loader: db}); !errors.Is(err, db.err) {
			t.Error(err)
		}
		if n := h.Subscribers(Topic); n != 0 {
			t.Error(n, "subscriptions are left")
		}
		if _, err := New(t.Context(), Config{}); err == nil {
			t.Error("no hub")
		}
	})
}
