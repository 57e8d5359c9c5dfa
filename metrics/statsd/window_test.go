package statsd

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

func newWindows(samples int) *windows {
	ws := &windows{}
	ws.init(samples)
	return ws
}

func TestWindowKeepsEverythingThatFits(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 8, 9} {
		ws := newWindows(8)
		for range 3 { // both windows and again
			for i := range n {
				ws.observe(int64((i*5)%11), attached())
			}
			iv := ws.turn(nil)
			if iv.count != int64(n) {
				t.Fatalf("n=%d: count is %d", n, iv.count)
			}
			if n == 0 {
				continue
			}
			got := append(slices.Clone(iv.sample), iv.max)
			var want []int64
			for i := range n {
				want = append(want, int64((i*5)%11))
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) || iv.max != want[n-1] {
				t.Fatalf("n=%d: kept %v with maximum %d, want %v", n, got, iv.max, want)
			}
		}
	}
}

func TestWindowSamplesUniformly(t *testing.T) {
	const room, n, rounds = 64, 1000, 400
	ws := newWindows(room)
	var hits [n]int
	for range rounds {
		for i := range n {
			ws.observe(int64(i), attached())
		}
		iv := ws.turn(nil)
		if iv.count != n || iv.max != n-1 || len(iv.sample) != room {
			t.Fatalf("count %d, maximum %d, %d sampled", iv.count, iv.max, len(iv.sample))
		}
		for _, v := range iv.sample {
			hits[v]++
		}
	}
	// Each tenth of the stream should have a tenth of rounds*room hits; five
	// standard deviations of a binomial are 240.
	for tenth := range 10 {
		sum := 0
		for _, h := range hits[tenth*n/10 : (tenth+1)*n/10] {
			sum += h
		}
		if want := rounds * room / 10; sum < want-240 || sum > want+240 {
			t.Errorf("tenth %d of the stream was sampled %d times, want about %d", tenth, sum, want)
		}
	}
}

func TestWindowLosesNothingToConcurrency(t *testing.T) {
	const writers, each = 8, 20_000
	for _, room := range []int{16, writers * each} {
		ws := newWindows(room)
		var wg sync.WaitGroup
		done := make(chan struct{})
		for range writers {
			wg.Go(func() {
				for range each {
					ws.observe(1+rand.Int64N(1000), attached())
				}
			})
		}
		go func() { wg.Wait(); close(done) }()
		var count, largest int64
		var buf []int64
		take := func() {
			iv := ws.turn(buf)
			buf = iv.sample
			count += iv.count
			largest = max(largest, iv.max)
			for _, v := range iv.sample {
				if v < 1 || v > 1000 {
					t.Fatalf("sampled %d, which was not observed", v)
				}
			}
		}
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			take()
		}
		take()
		if count != writers*each || largest != 1000 {
			t.Errorf("room %d: counted %d with maximum %d, want %d and 1000", room, count, largest, writers*each)
		}
	}
}

// attached is that of a timer that is in use.
func attached() *atomic.Bool {
	b := new(atomic.Bool)
	b.Store(true)
	return b
}
