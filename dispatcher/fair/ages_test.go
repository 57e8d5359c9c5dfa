package fair

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/receipt"
)

// The age of the oldest event against a list of all, with events that leave in any order
// and pauses from nothing to 39 hours.
func TestAges(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("PENSTOCK_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	synctest.Test(t, func(t *testing.T) {
		type event struct {
			at     time.Time
			cohort uint8
			oldest time.Duration // what was said when it came
		}
		begun := time.Now()
		var a ages
		a.begin()
		var waiting []event // in the order in which they came
		for step := range 20_000 {
			if rng.IntN(1000) == 0 {
				for _, e := range waiting {
					a.leave(e.cohort)
				}
				waiting = waiting[:0]
			}
			switch {
			case rng.IntN(5) > 1:
				oldest := a.oldest()
				a.arrive(int64(time.Since(begun)))
				for range 1 + rng.IntN(10) {
					waiting = append(waiting, event{time.Now(), a.come(), oldest})
				}
			case len(waiting) > 0:
				for range 1 + rng.IntN(min(len(waiting), 20)) {
					i := min(rng.IntN(len(waiting)), rng.IntN(len(waiting)))
					a.leave(waiting[i].cohort)
					waiting = slices.Delete(waiting, i, i+1)
				}
			}
			if rng.IntN(2) == 0 {
				time.Sleep(time.Duration(rng.Int64N(1 << rng.IntN(40+step%2*8))))
			}
			var want, most time.Duration
			if len(waiting) > 0 {
				want = time.Since(waiting[0].at)
				most = want + waiting[0].oldest/cohortPart + time.Duration(cohortTime)
			}
			if got := a.oldest(); got < want-1 || got > most {
				t.Fatalf("PENSTOCK_SEED=%d step %d: the oldest of %d has waited for %v, want %v to %v", seed, step, len(waiting), got, want, most)
			}
		}
	})
}

func TestSnapshotOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config[ev]{}).workers(1)
		want := func(d time.Duration) {
			t.Helper()
			r.f.check(t)
			if got := r.f.Snapshot().Oldest; got < d || got > d+time.Microsecond {
				t.Fatalf("the oldest has waited for %v, want %v", got, d)
			}
		}
		pass := func(d time.Duration) {
			time.Sleep(d)
			r.now += int64(d)
		}
		want(0)
		r.offer("a") // in flight at once
		pass(time.Second)
		want(0)
		r.offer("a")
		pass(time.Second)
		r.offer("b")
		pass(time.Second)
		// Also if nothing is dispatched meanwhile.
		want(2 * time.Second)
		r.finish(0, receipt.Done)
		want(2 * time.Second) // b is served before the second of a
		r.finish(0, receipt.Returned)
		want(0) // b has come back, and the other is in flight
		pass(time.Second)
		want(time.Second)
		r.finish(0, receipt.Done)
		want(0)
	})
}
