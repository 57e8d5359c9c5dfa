package store

import (
	"testing"
	"time"
)

func TestSalesBySecond(t *testing.T) {
	each(t, func(t *testing.T, s *Store, ids []int64) {
		var bought time.Time
		for i, items := range [][]int64{{ids[0], ids[1]}, {ids[0]}} {
			order, err := s.Checkout(t.Context(), Purchase{CartID: "cart", Key: string(rune('a' + i)), Items: items})
			if err != nil {
				t.Fatal(err)
			}
			bought = order.Bought
		}
		sales, err := s.Sales(t.Context(), bought.Add(-time.Minute))
		sum := 0
		for second, pairs := range sales {
			if second > bought.Unix() || second < bought.Unix()-60 {
				t.Errorf("second %d is not in the minute before %d", second, bought.Unix())
			}
			sum += pairs
		}
		if err != nil || sum != 3 {
			t.Errorf("%d pairs, %v", sum, err)
		}
		if sales, err = s.Sales(t.Context(), bought.Add(time.Second)); err != nil || len(sales) != 0 {
			t.Errorf("sales of the future: %v, %v", sales, err)
		}
	})
}
