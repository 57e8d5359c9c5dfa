package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// databases are the places in which every test of the suite runs.
var databases = map[string]func(t *testing.T) string{
	"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "shop & more.db") },
	"postgres": schema,
}

// schema returns the URL of a schema of the test's own in the PostgreSQL of
// PENSTOCK_POSTGRES, which servers/test starts.
func schema(t *testing.T) string {
	base := os.Getenv("PENSTOCK_POSTGRES")
	if base == "" {
		t.Skip("PENSTOCK_POSTGRES is not set: servers/test postgres starts one")
	}
	name := fmt.Sprintf("sneakers_%d_%d", os.Getpid(), schemas.Add(1))
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, base)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "CREATE SCHEMA "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := conn.Exec(ctx, "DROP SCHEMA "+name+" CASCADE")
		if err := errors.Join(err, conn.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = url.Values{"search_path": {name}}.Encode()
	return u.String()
}

var schemas atomic.Int64

func open(t *testing.T, database string) *Store {
	t.Helper()
	s, err := Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// each runs a test on every kind of database, with a shop of two products: the first is
// released and has sizes with 2, 1 and 0 pairs, the second is not and has one size.
func each(t *testing.T, test func(t *testing.T, s *Store, ids []int64)) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			s := open(t, database(t))
			if s.Kind() != name {
				t.Errorf("kind %q", s.Kind())
			}
			err := s.Seed(t.Context(), []Product{
				{SKU: "A", Brand: "B", Name: "N", Color: "C", PriceUSD: 100, MainImageURL: "/a.svg", Released: true, Items: []Item{
					{SKU: "A-7", Size: "7", Available: 2}, {SKU: "A-8", Size: "8", Available: 1}, {SKU: "A-9", Size: "9"}}},
				{SKU: "Z", Brand: "B", Name: "<b>M</b>", Color: "C", PriceUSD: 90, MainImageURL: "/z.svg", Items: []Item{{SKU: "Z-7", Size: "7", Available: 5}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			var ids []int64
			for _, p := range products(t, s) {
				for _, it := range p.Items {
					ids = append(ids, it.ID)
				}
			}
			test(t, s, ids)
		})
	}
}

func products(t *testing.T, s *Store) []Product {
	t.Helper()
	all, err := s.Products(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// left returns what is left of all items, in their order.
func left(t *testing.T, s *Store) (counts []int) {
	t.Helper()
	for _, p := range products(t, s) {
		for _, it := range p.Items {
			counts = append(counts, it.Available)
		}
	}
	return counts
}

func account(t *testing.T, s *Store) Account {
	t.Helper()
	a, err := s.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a.Stocked != a.Available+a.Sold || a.Oversold != 0 {
		t.Errorf("the account does not add up: %+v", a)
	}
	return a
}

func TestACartIsBoughtAsAWholeOrNotAtAll(t *testing.T) {
	each(t, func(t *testing.T, s *Store, ids []int64) {
		order, err := s.Checkout(t.Context(), Purchase{"cart", "k1", []int64{ids[1], ids[0]}})
		if err != nil || order.TotalUSD != 200 || len(order.Stocks) != 2 || order.Repeated || order.Bought.IsZero() {
			t.Fatal(order, err)
		}
		if order.Stocks[1] != (Stock{ids[1], 0, 2}) {
			t.Error(order.Stocks)
		}
		out, err := s.SoldOut(t.Context())
		if err != nil || len(out) != 1 || out[ids[1]].UnixMilli() != order.Bought.UnixMilli() {
			t.Error(out, err)
		}
		// The second size is gone now, and so is the third: the first is not bought either.
		_, err = s.Checkout(t.Context(), Purchase{"cart", "k2", []int64{ids[0], ids[1], ids[2], ids[3], 1 << 40}})
		var gone *GoneError
		if !errors.As(err, &gone) || !slices.Equal(gone.SoldOut, ids[1:3]) || !slices.Equal(gone.NotForSale, []int64{ids[3], 1 << 40}) {
			t.Fatal(err)
		}
		if got := left(t, s); !slices.Equal(got, []int{1, 0, 0, 5}) {
			t.Error(got)
		}
		// The key of a failure is free again.
		if _, err = s.Checkout(t.Context(), Purchase{"cart", "k2", []int64{ids[0]}}); err != nil {
			t.Error(err)
		}
		if a := account(t, s); a.Sold != 3 || a.Orders != 2 {
			t.Error(a)
		}
	})
}

func TestADoubleClickBuysOnce(t *testing.T) {
	each(t, func(t *testing.T, s *Store, ids []int64) {
		var wg sync.WaitGroup
		orders := make([]Order, 8)
		for i := range orders {
			wg.Go(func() {
				var err error
				if orders[i], err = s.Checkout(t.Context(), Purchase{"cart", "same", []int64{ids[0]}}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		first := 0
		for _, o := range orders {
			if o.ID != orders[0].ID || o.TotalUSD != 100 || !slices.Equal(o.Items, ids[:1]) {
				t.Error(o)
			}
			if !o.Repeated {
				first++
			}
		}
		if first != 1 || account(t, s).Sold != 1 {
			t.Error(first, left(t, s))
		}
		// Another cart may have the same key.
		if o, err := s.Checkout(t.Context(), Purchase{"other", "same", ids[:1]}); err != nil || o.Repeated {
			t.Error(o, err)
		}
	})
}

func TestOneOfManyGetsTheLastPair(t *testing.T) {
	each(t, func(t *testing.T, s *Store, ids []int64) {
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				// Half of the carts hold the items the other way round.
				items := []int64{ids[0], ids[1]}
				if i%2 == 0 {
					slices.Reverse(items)
				}
				_, err := s.Checkout(t.Context(), Purchase{fmt.Sprint("cart", i), "k", items})
				var gone *GoneError
				switch {
				case err == nil:
					won.Add(1)
				case errors.As(err, &gone) && slices.Equal(gone.SoldOut, ids[1:2]):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 19 || account(t, s).Sold != 2 {
			t.Error(won.Load(), lost.Load(), left(t, s))
		}
	})
}

func TestTheDatabaseRefusesANegativeCount(t *testing.T) {
	each(t, func(t *testing.T, s *Store, ids []int64) {
		_, err := s.write.ExecContext(t.Context(), `UPDATE item_availabilities SET available_count = available_count - 1 WHERE item_id = $1`, ids[2])
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), "check") {
			t.Error(err)
		}
	})
}

func TestAReleaseHappensOnce(t *testing.T) {
	each(t, func(t *testing.T, s *Store, ids []int64) {
		product := products(t, s)[1].ID
		for i, want := range []bool{true, false} {
			if changed, err := s.Release(t.Context(), product); err != nil || changed != want {
				t.Error(i, changed, err)
			}
		}
		if _, err := s.Release(t.Context(), 1<<40); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
		if _, err := s.Checkout(t.Context(), Purchase{"cart", "k", ids[3:]}); err != nil {
			t.Error(err)
		}
	})
}

func TestRestock(t *testing.T) {
	each(t, func(t *testing.T, s *Store, ids []int64) {
		stock, err := s.Restock(t.Context(), ids[2], 3)
		if err != nil || stock != (Stock{ids[2], 3, 2}) {
			t.Error(stock, err)
		}
		for _, pairs := range []int{0, -1, maxRestock + 1} {
			if _, err := s.Restock(t.Context(), ids[2], pairs); err == nil {
				t.Error("restocked", pairs)
			}
		}
		if _, err := s.Restock(t.Context(), -1, 1); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
		account(t, s)
	})
}

func TestWhatIsNotAPurchase(t *testing.T) {
	each(t, func(t *testing.T, s *Store, ids []int64) {
		many := make([]int64, MaxItems+1)
		for i := range many {
			many[i] = int64(i)
		}
		for name, p := range map[string]Purchase{
			"no cart":  {"", "k", ids[:1]},
			"no key":   {"c", "", ids[:1]},
			"long key": {"c", strings.Repeat("k", maxKey+1), ids[:1]},
			"zero":     {"c", "k\x00", ids[:1]},
			"no items": {"c", "k", nil},
			"twice":    {"c", "k", []int64{ids[0], ids[0]}},
			"many":     {"c", "k", many},
		} {
			if _, err := s.Checkout(t.Context(), p); !errors.Is(err, ErrPurchase) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if account(t, s).Orders != 0 {
			t.Error("something was bought")
		}
	})
}

func TestAnOrderBelongsToItsCart(t *testing.T) {
	each(t, func(t *testing.T, s *Store, ids []int64) {
		order, err := s.Checkout(t.Context(), Purchase{"cart", "k", ids[:1]})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Order(t.Context(), "cart", order.ID); err != nil || got.TotalUSD != 100 || !slices.Equal(got.Items, ids[:1]) {
			t.Error(got, err)
		}
		if got, err := s.OrderByKey(t.Context(), "cart", "k"); err != nil || got.ID != order.ID {
			t.Error(got, err)
		}
		if _, err := s.OrderByKey(t.Context(), "other", "k"); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
		if _, err := s.Order(t.Context(), "other", order.ID); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
	})
}

// TestNodesStartTogether: several open and seed one database at once, and one does it.
func TestNodesStartTogether(t *testing.T) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			at := database(t)
			seed := []Product{{SKU: "A", Brand: "B", Name: "N", Color: "C", PriceUSD: 1, MainImageURL: "/a", Items: []Item{{SKU: "A-1", Size: "1", Available: 1}}}}
			stores := make([]*Store, 3)
			var wg sync.WaitGroup
			for i := range stores {
				wg.Go(func() {
					var err error
					if stores[i], err = Open(t.Context(), at); err == nil {
						err = stores[i].Seed(t.Context(), seed)
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for _, s := range stores {
				if s == nil {
					continue
				}
				if got := products(t, s); len(got) != 1 || len(got[0].Items) != 1 {
					t.Error(got)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestARefusedDatabase(t *testing.T) {
	const secret = "hunter2"
	for _, database := range []string{
		filepath.Join(t.TempDir(), "no such folder", "shop.db"),
		"postgres://user:" + secret + "@[::1",
		"postgres://user:" + secret + "@127.0.0.1:1/none?connect_timeout=1",
	} {
		s, err := Open(t.Context(), database)
		if err == nil {
			_ = s.Close()
			t.Error("opened", database)
		} else if strings.Contains(err.Error(), secret) {
			t.Error(err)
		}
	}
}
