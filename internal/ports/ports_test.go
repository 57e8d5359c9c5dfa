package ports

import (
	"errors"
	"net"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRangesAreApart: ranges that begin their search at the same place have no port in common.
func TestRangesAreApart(t *testing.T) {
	seen := map[string]bool{}
	for i := range 5 {
		n := 1 + i%3
		r, err := take(n, tens-7)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		for p := range 9 * n {
			l, err := net.Listen("tcp", r.Addr(p))
			if err != nil {
				t.Errorf("a port of the range is not free: %v", err)
				continue
			}
			_ = l.Close()
			if seen[r.Addr(p)] {
				t.Errorf("%s was handed out twice", r.Addr(p))
			}
			seen[r.Addr(p)] = true
		}
	}
	if len(seen) != 9*(1+2+3+1+2) {
		t.Errorf("%d ports", len(seen))
	}
}

// TestTakenPortIsPassedOver: one port at which another program listens, wherever it is in the
// range, makes the search go on.
func TestTakenPortIsPassedOver(t *testing.T) {
	for _, other := range []int{0, 8, 17} {
		free := For(t, 2)
		place := (free.First - lowest) / ten
		taken := free.Addr(other)
		l, err := net.Listen("tcp", taken)
		if err != nil {
			t.Fatal(err)
		}
		free.Close()
		r, err := take(2, place)
		if err != nil {
			t.Fatal(err)
		}
		if r.First == free.First {
			t.Errorf("%s is taken and in the range from %d", taken, r.First)
		}
		r.Close()
		_ = l.Close()
	}
}

// TestNoPorts: more than there are is an error.
func TestNoPorts(t *testing.T) {
	if _, err := Take(tens + 1); !errors.Is(err, errNone) {
		t.Error(err)
	}
}
