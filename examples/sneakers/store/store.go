package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// Product is a model of shoe in one color.
type Product struct {
	ID           int64
	SKU          string
	Brand        string
	Name         string
	Color        string
	PriceUSD     int
	MainImageURL string
	// Released products can be bought.
	Released bool
	// Items are its sizes, in the order of their ids.
	Items []Item
}

// Item is one size of a product, which is what can be bought.
type Item struct {
	ID        int64
	ProductID int64
	SKU       string
	Size      string
	// Available pairs are left.
	Available int
	// Revision is higher after each change of Available.
	Revision int64
}

// Stock is what is left of a size at one revision.
type Stock struct {
	ItemID    int64 `json:"item_id"`
	Available int   `json:"available_count"`
	Revision  int64 `json:"revision"`
}

// ErrUnknown: there is no product or item with this id.
var ErrUnknown = errors.New("store: no such product or item")

// Store is a shop's database. All methods may be called from any goroutine.
type Store struct {
	// The same pool with PostgreSQL. SQLite has one writer at a time, so that its writes
	// queue for a single connection, and reads go on beside them.
	write, read *sql.DB
	name        string // of the kind of database
}

// Kind returns "sqlite" or "postgres".
func (s *Store) Kind() string { return s.name }

// Close waits for the transactions under way and closes the connections.
func (s *Store) Close() error {
	if s.read == s.write {
		return s.write.Close()
	}
	return errors.Join(s.read.Close(), s.write.Close())
}

// Seed puts products with their items into an empty shop. It changes nothing if there is a
// product already. Ids are given by the database.
func (s *Store) Seed(ctx context.Context, products []Product) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		var known int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM products`).Scan(&known); err != nil || known > 0 {
			return err
		}
		for _, p := range products {
			var id int64
			err := tx.QueryRowContext(ctx, `INSERT INTO products (sku, brand, name, color, price_usd, main_image_url, released)
				VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING id`,
				p.SKU, p.Brand, p.Name, p.Color, p.PriceUSD, p.MainImageURL, p.Released).Scan(&id)
			if errors.Is(err, sql.ErrNoRows) {
				continue // another node was faster
			}
			if err != nil {
				return fmt.Errorf("product %s: %w", p.SKU, err)
			}
			for _, it := range p.Items {
				if err := insertItem(ctx, tx, id, it); err != nil {
					return fmt.Errorf("item %s: %w", it.SKU, err)
				}
			}
		}
		return nil
	})
}

func insertItem(ctx context.Context, tx *sql.Tx, product int64, it Item) error {
	var id int64
	err := tx.QueryRowContext(ctx, `INSERT INTO items (product_id, sku, size) VALUES ($1, $2, $3) RETURNING id`,
		product, it.SKU, it.Size).Scan(&id)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO item_availabilities (item_id, available_count, stocked_count) VALUES ($1, $2, $2)`,
		id, it.Available)
	return err
}

// Products returns all products with their items, in the order of their ids.
func (s *Store) Products(ctx context.Context) (products []Product, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, sku, brand, name, color, price_usd, main_image_url, released FROM products ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p Product
		if err := rows.Scan(&p.ID, &p.SKU, &p.Brand, &p.Name, &p.Color, &p.PriceUSD, &p.MainImageURL, &p.Released); err != nil {
			return nil, err
		}
		products = append(products, p)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	items, err := s.items(ctx)
	if err != nil {
		return nil, err
	}
	for i := range products {
		products[i].Items = items[products[i].ID]
	}
	return products, nil
}

// items returns all items by product.
func (s *Store) items(ctx context.Context) (map[int64][]Item, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT i.id, i.product_id, i.sku, i.size, a.available_count, a.revision
		FROM items i JOIN item_availabilities a ON a.item_id = i.id ORDER BY i.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	items := make(map[int64][]Item)
	for rows.Next() {
		var it Item
		if err := rows.Scan(&it.ID, &it.ProductID, &it.SKU, &it.Size, &it.Available, &it.Revision); err != nil {
			return nil, err
		}
		items[it.ProductID] = append(items[it.ProductID], it)
	}
	return items, rows.Err()
}

// Release makes a product buyable. It reports whether it was not before.
func (s *Store) Release(ctx context.Context, product int64) (changed bool, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		changed = false
		result, err := tx.ExecContext(ctx, `UPDATE products SET released = TRUE WHERE id = $1 AND NOT released`, product)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			changed = n == 1
			return err
		}
		var known int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM products WHERE id = $1`, product).Scan(&known); err != nil {
			return err
		}
		if known == 0 {
			return ErrUnknown
		}
		return nil
	})
	return changed, err
}

// Restock adds pairs of a size, and returns what there is then.
func (s *Store) Restock(ctx context.Context, item int64, pairs int) (stock Stock, err error) {
	if pairs < 1 || pairs > maxRestock {
		return Stock{}, fmt.Errorf("store: %d pairs are not 1 to %d", pairs, maxRestock)
	}
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		stock.ItemID = item
		err := tx.QueryRowContext(ctx, `UPDATE item_availabilities
			SET available_count = available_count + $2, stocked_count = stocked_count + $2, revision = revision + 1
			WHERE item_id = $1 RETURNING available_count, revision`, item, pairs).Scan(&stock.Available, &stock.Revision)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrUnknown
		}
		return err
	})
	return stock, err
}

// maxRestock bounds the pairs that one call adds.
const maxRestock = 10_000

// Account is what was put into stock and what became of it. Stocked is Available and Sold
// together, unless something is wrong.
type Account struct {
	Stocked   int `json:"stocked"`
	Available int `json:"available"`
	Sold      int `json:"sold"`
	Orders    int `json:"orders"`
	// Oversold pairs were sold of a size beyond what was ever in stock. It is always 0.
	Oversold int `json:"oversold"`
}

// Account counts the stock and the orders of all sizes.
func (s *Store) Account(ctx context.Context) (a Account, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT a.stocked_count, a.available_count,
		(SELECT count(*) FROM order_items o WHERE o.item_id = a.item_id) FROM item_availabilities a`)
	if err != nil {
		return a, err
	}
	defer rows.Close()
	for rows.Next() {
		var stocked, available, sold int
		if err := rows.Scan(&stocked, &available, &sold); err != nil {
			return a, err
		}
		a.Stocked, a.Available, a.Sold = a.Stocked+stocked, a.Available+available, a.Sold+sold
		a.Oversold += max(0, sold-stocked)
	}
	if err := rows.Err(); err != nil {
		return a, err
	}
	err = s.read.QueryRowContext(ctx, `SELECT count(*) FROM orders`).Scan(&a.Orders)
	return a, err
}

// inTx runs f in a transaction that is committed if f returns nil.
func (s *Store) inTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// sorted returns the ids in order: all transactions lock their rows in the same one, so
// that none waits for one that waits for it.
func sorted(ids []int64) []int64 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return ids
}
