package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Purchase is what a shopper wants to buy: one pair of each item.
type Purchase struct {
	CartID string
	// Key distinguishes the purchases of a cart: see the section Idempotency.
	Key   string
	Items []int64
}

// Order is a purchase that has succeeded.
type Order struct {
	ID       int64
	CartID   string
	Items    []int64
	TotalUSD int
	// Repeated is set if an earlier purchase with the same key made the order.
	Repeated bool
	// Stocks are what is left of each item. Empty if Repeated is set.
	Stocks []Stock
	// Bought is a moment just before the commit, which the database keeps in milliseconds.
	Bought time.Time
}

// GoneError reports the items of a cart that cannot be bought: nothing of it was.
type GoneError struct {
	// SoldOut items have no pair left, NotForSale ones are of an unreleased product or of none.
	SoldOut, NotForSale []int64
}

// Error implements error.
func (e *GoneError) Error() string {
	return fmt.Sprintf("store: cannot be bought: sold out %v, not for sale %v", e.SoldOut, e.NotForSale)
}

// The bounds of a purchase.
const (
	MaxItems = 20 // different items
	maxKey   = 128
)

// ErrPurchase: the purchase has no cart, no key, no items, an item twice, or too many.
var ErrPurchase = errors.New("store: not a purchase")

// check returns why a purchase cannot be one.
func (p Purchase) check() error {
	ids := sorted(p.Items)
	switch {
	case !validKey(p.CartID):
		return fmt.Errorf("%w: no cart", ErrPurchase)
	case !validKey(p.Key):
		return fmt.Errorf("%w: a key of 1 to %d bytes is required", ErrPurchase, maxKey)
	case len(ids) == 0 || len(ids) > MaxItems:
		return fmt.Errorf("%w: %d items are not 1 to %d", ErrPurchase, len(ids), MaxItems)
	case len(slices.Compact(ids)) != len(p.Items):
		return fmt.Errorf("%w: an item twice", ErrPurchase)
	}
	return nil
}

// validKey reports whether every database can hold a key.
func validKey(key string) bool {
	return key != "" && len(key) <= maxKey && utf8.ValidString(key) && !strings.ContainsRune(key, 0)
}

// Checkout buys one pair of each item, or nothing. The error is a *GoneError if an item
// cannot be bought, and ErrPurchase for what is not a purchase.
func (s *Store) Checkout(ctx context.Context, p Purchase) (order Order, err error) {
	if err := p.check(); err != nil {
		return Order{}, err
	}
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		order = Order{CartID: p.CartID, Items: sorted(p.Items)}
		// With PostgreSQL the second of two with the same key waits here for the end of the first.
		err := tx.QueryRowContext(ctx, `INSERT INTO orders (cart_id, idempotency_key, total_usd, created_at)
			VALUES ($1, $2, 0, $3) ON CONFLICT (cart_id, idempotency_key) DO NOTHING RETURNING id`, p.CartID, p.Key, time.Now().UnixMilli()).Scan(&order.ID)
		if errors.Is(err, sql.ErrNoRows) {
			return earlier(ctx, tx, p, &order)
		}
		if err != nil {
			return err
		}
		if err := take(ctx, tx, &order); err != nil {
			return err
		}
		// The time is that of the end of the transaction, which may have waited for others.
		order.Bought = time.Now()
		_, err = tx.ExecContext(ctx, `UPDATE orders SET total_usd = $2, created_at = $3 WHERE id = $1`, order.ID, order.TotalUSD, order.Bought.UnixMilli())
		return err
	})
	if err != nil {
		return Order{}, err
	}
	return order, nil
}

// take takes a pair of each item out of stock and notes it in the order.
func take(ctx context.Context, tx *sql.Tx, order *Order) error {
	var gone GoneError
	for _, item := range order.Items {
		stock := Stock{ItemID: item}
		var price int
		err := tx.QueryRowContext(ctx, `UPDATE item_availabilities SET available_count = available_count - 1, revision = revision + 1
			WHERE item_id = $1 AND available_count > 0
			AND EXISTS (SELECT 1 FROM items i JOIN products p ON p.id = i.product_id WHERE i.id = $1 AND p.released)
			RETURNING available_count, revision,
			(SELECT p.price_usd FROM items i JOIN products p ON p.id = i.product_id WHERE i.id = $1)`,
			item).Scan(&stock.Available, &stock.Revision, &price)
		if errors.Is(err, sql.ErrNoRows) {
			// The rest is looked at too, so that the shopper learns of all at once.
			if err := gone.note(ctx, tx, item); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		order.Stocks, order.TotalUSD = append(order.Stocks, stock), order.TotalUSD+price
		if _, err := tx.ExecContext(ctx, `INSERT INTO order_items (order_id, item_id, price_usd) VALUES ($1, $2, $3)`, order.ID, item, price); err != nil {
			return err
		}
	}
	if len(gone.SoldOut)+len(gone.NotForSale) > 0 {
		return &gone
	}
	return nil
}

// note finds out why an item cannot be bought.
func (e *GoneError) note(ctx context.Context, tx *sql.Tx, item int64) error {
	var released bool
	err := tx.QueryRowContext(ctx, `SELECT p.released FROM items i JOIN products p ON p.id = i.product_id WHERE i.id = $1`, item).Scan(&released)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if released {
		e.SoldOut = append(e.SoldOut, item)
	} else {
		e.NotForSale = append(e.NotForSale, item)
	}
	return nil
}

// earlier reads the order that has the key of p.
func earlier(ctx context.Context, tx *sql.Tx, p Purchase, order *Order) error {
	order.Repeated = true
	err := tx.QueryRowContext(ctx, `SELECT id, total_usd FROM orders WHERE cart_id = $1 AND idempotency_key = $2`, p.CartID, p.Key).
		Scan(&order.ID, &order.TotalUSD)
	if err == nil {
		order.Items, err = orderItems(ctx, tx, order.ID)
	}
	return err
}

// orderItems returns the items of an order, in order.
func orderItems(ctx context.Context, in interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, order int64) (items []int64, err error) {
	rows, err := in.QueryContext(ctx, `SELECT item_id FROM order_items WHERE order_id = $1 ORDER BY item_id`, order)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		items = append(items, id)
	}
	return items, rows.Err()
}

// Order returns an order of a cart, or ErrUnknown.
func (s *Store) Order(ctx context.Context, cartID string, id int64) (order Order, err error) {
	order = Order{ID: id, CartID: cartID}
	err = s.read.QueryRowContext(ctx, `SELECT total_usd FROM orders WHERE cart_id = $1 AND id = $2`, cartID, id).Scan(&order.TotalUSD)
	if errors.Is(err, sql.ErrNoRows) {
		return Order{}, ErrUnknown
	}
	if err == nil {
		order.Items, err = orderItems(ctx, s.read, id)
	}
	return order, err
}

// OrderByKey returns the order that a purchase with this key has made, or ErrUnknown.
func (s *Store) OrderByKey(ctx context.Context, cartID, key string) (order Order, err error) {
	order = Order{CartID: cartID, Repeated: true}
	if !validKey(key) {
		return Order{}, ErrUnknown
	}
	err = s.read.QueryRowContext(ctx, `SELECT id, total_usd FROM orders WHERE cart_id = $1 AND idempotency_key = $2`, cartID, key).
		Scan(&order.ID, &order.TotalUSD)
	if errors.Is(err, sql.ErrNoRows) {
		return Order{}, ErrUnknown
	}
	return order, err
}

// SoldOut returns when the last pair of each size that has none was bought.
func (s *Store) SoldOut(ctx context.Context) (map[int64]time.Time, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT a.item_id, max(o.created_at) FROM item_availabilities a
		JOIN order_items i ON i.item_id = a.item_id JOIN orders o ON o.id = i.order_id
		WHERE a.available_count = 0 GROUP BY a.item_id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	times := make(map[int64]time.Time)
	for rows.Next() {
		var id, ms int64
		if err := rows.Scan(&id, &ms); err != nil {
			return nil, err
		}
		times[id] = time.UnixMilli(ms)
	}
	return times, rows.Err()
}
