package store

import (
	"context"
	"time"
)

// Sales counts the pairs that were sold since a moment, by second of unix time. Seconds
// without a sale are not in it.
func (s *Store) Sales(ctx context.Context, since time.Time) (map[int64]int, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT o.created_at / 1000, count(*) FROM orders o
		JOIN order_items i ON i.order_id = o.id WHERE o.created_at >= $1 GROUP BY 1`, since.UnixMilli())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	sales := make(map[int64]int)
	for rows.Next() {
		var second int64
		var pairs int
		if err := rows.Scan(&second, &pairs); err != nil {
			return nil, err
		}
		sales[second] = pairs
	}
	return sales, rows.Err()
}
