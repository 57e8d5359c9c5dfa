package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// connect opens a database without its migrations.
func connect(t *testing.T, database string) *Store {
	t.Helper()
	openKind := openSQLite
	if isPostgres(database) {
		openKind = openPostgres
	}
	s, err := openKind(database)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// old makes the database of an earlier release, with a shop that has sold two pairs.
func old(t *testing.T, database string, version int64) {
	t.Helper()
	s := connect(t, database)
	defer s.Close()
	m, err := migrator(s.name, s.write)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	// As the first release wrote it: without the code of this one. Ids begin with 1.
	for _, statement := range []string{
		`INSERT INTO products (sku, brand, name, color, price_usd, main_image_url, released) VALUES
			('A', 'B', 'N', 'C', 100, '/a.svg', TRUE), ('Z', 'B', '<b>M</b>', 'C', 90, '/z.svg', FALSE)`,
		`INSERT INTO items (product_id, sku, size) VALUES (1, 'A-7', '7'), (1, 'A-8', '8'), (2, 'Z-7', '7')`,
		`INSERT INTO item_availabilities (item_id, available_count, stocked_count, revision) VALUES (1, 1, 2, 2), (2, 0, 1, 2), (3, 5, 5, 1)`,
		`INSERT INTO orders (cart_id, idempotency_key, total_usd, created_at) VALUES ('cart', 'key', 200, 1700000000000)`,
		`INSERT INTO order_items (order_id, item_id, price_usd) VALUES (1, 1, 100), (1, 2, 100)`,
	} {
		if _, err := s.write.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// latest is the version of the tables of this release.
func latest(t *testing.T) int64 {
	t.Helper()
	files, err := migrations.ReadDir("migrations/sqlite")
	if err != nil {
		t.Fatal(err)
	}
	return int64(len(files))
}

// eachOld runs a test on every kind of database at every version that a release has had.
func eachOld(t *testing.T, test func(t *testing.T, database string)) {
	for kind, database := range databases {
		t.Run(kind, func(t *testing.T) {
			for version := range latest(t) - 1 {
				version++
				t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
					at := database(t)
					old(t, at, version)
					test(t, at)
				})
			}
		})
	}
}

// found checks that a migrated shop has all that old has put into it.
func found(t *testing.T, s *Store) {
	t.Helper()
	want := []Product{
		{ID: 1, SKU: "A", Brand: "B", Name: "N", Color: "C", PriceUSD: 100, MainImageURL: "/a.svg", Released: true, Items: []Item{
			{ID: 1, ProductID: 1, SKU: "A-7", Size: "7", Available: 1, Revision: 2}, {ID: 2, ProductID: 1, SKU: "A-8", Size: "8", Revision: 2}}},
		{ID: 2, SKU: "Z", Brand: "B", Name: "<b>M</b>", Color: "C", PriceUSD: 90, MainImageURL: "/z.svg", Items: []Item{
			{ID: 3, ProductID: 2, SKU: "Z-7", Size: "7", Available: 5, Revision: 1}}},
	}
	if got := products(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if a := account(t, s); a != (Account{Stocked: 8, Available: 6, Sold: 2, Orders: 1}) {
		t.Errorf("%+v", a)
	}
	if out, err := s.SoldOut(t.Context()); err != nil || len(out) != 1 || out[2].UnixMilli() != 1700000000000 {
		t.Error(out, err)
	}
	// The order's key is still that of the order.
	order, err := s.Checkout(t.Context(), Purchase{"cart", "key", []int64{1, 2}})
	if err != nil || order.ID != 1 || !order.Repeated || order.TotalUSD != 200 || !slices.Equal(order.Items, []int64{1, 2}) {
		t.Error(order, err)
	}
}

func TestMigrationsKeepWhatIsThere(t *testing.T) {
	eachOld(t, func(t *testing.T, database string) {
		s := open(t, database)
		found(t, s)
		for name, statement := range map[string]string{
			"a negative count":       `UPDATE item_availabilities SET available_count = -1 WHERE item_id = 1`,
			"more than was stocked":  `UPDATE item_availabilities SET available_count = 3 WHERE item_id = 1`,
			"stock of no item":       `INSERT INTO item_availabilities (item_id, available_count, stocked_count) VALUES (99, 1, 1)`,
			"an item of no product":  `INSERT INTO items (product_id, sku, size) VALUES (99, 'X', '7')`,
			"a size twice":           `INSERT INTO items (product_id, sku, size) VALUES (1, 'X', '7')`,
			"a product twice":        `INSERT INTO products (sku, brand, name, color, price_usd, main_image_url) VALUES ('A', 'B', 'N', 'C', 1, '/')`,
			"a key twice":            `INSERT INTO orders (cart_id, idempotency_key, total_usd, created_at) VALUES ('cart', 'key', 1, 1)`,
			"a pair of no order":     `INSERT INTO order_items (order_id, item_id, price_usd) VALUES (99, 1, 1)`,
			"an item in two rows":    `INSERT INTO order_items (order_id, item_id, price_usd) VALUES (1, 1, 1)`,
			"a price of nothing":     `UPDATE products SET price_usd = 0 WHERE id = 1`,
			"stock in two rows":      `INSERT INTO item_availabilities (item_id, available_count, stocked_count) VALUES (1, 1, 1)`,
			"stock without a number": `UPDATE item_availabilities SET stocked_count = NULL WHERE item_id = 1`,
		} {
			if _, err := s.write.ExecContext(t.Context(), statement); err == nil {
				t.Errorf("the database takes %s", name)
			}
		}
		// The shop goes on: a sale, and stock that is added.
		if order, err := s.Checkout(t.Context(), Purchase{"cart", "next", []int64{1}}); err != nil || order.Stocks[0] != (Stock{1, 0, 3}) {
			t.Error(order, err)
		}
		if stock, err := s.Restock(t.Context(), 2, 2); err != nil || stock != (Stock{2, 2, 3}) {
			t.Error(stock, err)
		}
		account(t, s)
	})
}

// TestNodesMigrateTogether: several start on an old database at once, while one of the old
// release still sells.
func TestNodesMigrateTogether(t *testing.T) {
	eachOld(t, func(t *testing.T, database string) {
		before := connect(t, database)
		defer before.Close()
		ctx, end := context.WithCancel(t.Context())
		defer end()
		var selling, migrating sync.WaitGroup
		sold := 0
		selling.Go(func() {
			for ; ctx.Err() == nil || sold == 0; sold++ {
				if _, err := before.Restock(t.Context(), 1, 1); err != nil {
					t.Error(err)
					return
				}
				if _, err := before.Checkout(t.Context(), Purchase{"other", fmt.Sprint(sold), []int64{1}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
		stores := make([]*Store, 3)
		for i := range stores {
			migrating.Go(func() {
				var err error
				if stores[i], err = Open(t.Context(), database); err != nil {
					t.Error(err)
				}
			})
		}
		migrating.Wait()
		end()
		selling.Wait()
		for _, s := range stores {
			if s == nil {
				continue
			}
			if a := account(t, s); a.Sold != 2+sold || a.Available != 6 {
				t.Errorf("%d sold meanwhile: %+v", sold, a)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestAMigrationWaitsForSellers: a node that sells all the time can have SQLite's lock for longer
// than one try takes.
func TestAMigrationWaitsForSellers(t *testing.T) {
	was := busyTime
	busyTime = 50 * time.Millisecond
	defer func() { busyTime = was }()
	eachOld(t, func(t *testing.T, database string) {
		if isPostgres(database) {
			t.Skip("PostgreSQL has no limit to such a wait")
		}
		before := connect(t, database)
		defer before.Close()
		tx, err := before.write.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		opened := make(chan error)
		var s *Store
		go func() {
			var err error
			s, err = Open(t.Context(), database)
			opened <- err
		}()
		select {
		case err := <-opened:
			t.Errorf("opened while another process writes: %v", err)
			_ = tx.Rollback()
		case <-time.After(4 * busyTime):
			_ = tx.Rollback()
			if err := <-opened; err != nil {
				t.Error(err)
			}
		}
		if s != nil {
			account(t, s)
			_ = s.Close()
		}
	})
}

func TestANewerDatabaseIsRefused(t *testing.T) {
	for kind, database := range databases {
		t.Run(kind, func(t *testing.T) {
			at := database(t)
			s := open(t, at)
			newer := latest(t) + 1
			if _, err := s.write.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, TRUE)`, newer); err != nil {
				t.Fatal(err)
			}
			again, err := Open(t.Context(), at)
			if err == nil {
				_ = again.Close()
			}
			if !errors.Is(err, ErrNewer) || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("version %d, and this program knows %d", newer, newer-1)) {
				t.Error(err)
			}
			// Nothing was changed: the later release still works.
			account(t, s)
		})
	}
}

// TestMigrationsAreAlike: both kinds of database have the same versions.
func TestMigrationsAreAlike(t *testing.T) {
	var names [2][]string
	for i, kind := range []string{"sqlite", "postgres"} {
		files, err := migrations.ReadDir("migrations/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		for n, f := range files {
			names[i] = append(names[i], f.Name())
			if !strings.HasPrefix(f.Name(), fmt.Sprintf("%05d_", n+1)) {
				t.Errorf("%s: %s is not number %d", kind, f.Name(), n+1)
			}
		}
	}
	if !slices.Equal(names[0], names[1]) {
		t.Error(names)
	}
}

// TestTheLockOfSQLiteWaits while a migration takes long, and not for a context that is done.
func TestTheLockOfSQLiteWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "shop.db")
		unlock, err := lockSQLite(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := lockSQLite(short, path); err == nil {
			t.Error("two have the lock")
		}
		time.AfterFunc(100*time.Second, unlock)
		begun := time.Now()
		again, err := lockSQLite(t.Context(), path)
		if err != nil {
			t.Fatalf("after %v: %v", time.Since(begun), err)
		}
		again()
	})
}
