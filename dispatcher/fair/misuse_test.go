package fair

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// A limit that Rate could not have is replaced by Rate: the key is neither stopped
// for years nor without a limit.
func TestRateOfThatCannotBeUsed(t *testing.T) {
	for _, bad := range []Rate{
		{PerSecond: math.NaN()}, {PerSecond: math.Inf(1)}, {PerSecond: math.Inf(-1)}, {PerSecond: -1}, {PerSecond: 1e10},
		{PerSecond: 10, Burst: -1}, {PerSecond: 10, Burst: math.MaxInt},
	} {
		r := newRig(t, Config[ev]{Rate: Rate{PerSecond: 10}, RateOf: func(ev) Rate { return bad }}).workers(1)
		for range 20 {
			r.offer("a")
		}
		for range 20 {
			for len(r.flying) > 0 {
				r.finish(0, receipt.Done)
			}
			r.now += int64(50 * time.Millisecond)
			r.dispatch()
		}
		if n := len(r.log); n < 9 || n > 12 {
			t.Errorf("%v: %d events in a second, want the 10 of Rate", bad, n)
		}
		if r.f.Snapshot().Misused["RateOf"] == 0 {
			t.Errorf("%v is not counted", bad)
		}
		r.f.check(t)
	}
}

func TestMisuseIsCounted(t *testing.T) {
	r := newRig(t, Config[ev]{
		Weights: []int{1, 2}, Class: func(ev) int { return 2 },
		Tenant: func(e ev) string { return e.key }, TenantClass: func(ev) int { return -1 },
		Size: func(ev) int { return -5 },
	})
	r.offer("a", "a", "b")
	got := r.f.Snapshot()
	want := map[string]uint64{"Class": 2, "TenantClass": 2, "Size": 3}
	if fmt.Sprint(got.Misused) != fmt.Sprint(want) || got.HeldBytes != 0 {
		t.Errorf("misused %v with %d bytes, want %v", got.Misused, got.HeldBytes, want)
	}
	if n, function := r.f.Misused(); n != 7 || function == "" {
		t.Errorf("%d misused, the last by %q", n, function)
	}
	r.workers(1)
	r.drained()
}

// A merged event with another key or sub-key would be filed as something that it is
// not: the newer event is kept instead, and no other event is replaced by mistake.
func TestMergeThatChangesTheKey(t *testing.T) {
	for name, merge := range map[string]func(older, newer ev) ev{
		"key":     func(_, newer ev) ev { newer.key = "other"; return newer },
		"sub-key": func(_, newer ev) ev { newer.sub = "other"; return newer },
	} {
		r := newRig(t, Config[ev]{KeyOverflow: Conflate, SubKey: func(e ev) string { return e.sub }, Merge: merge})
		r.offerEvents(ev{"a", 1, "x", 1}, ev{"a", 2, "x", 1})
		if n := r.f.Snapshot().Misused["Merge"]; n != 1 {
			t.Errorf("%s: misused %d", name, n)
		}
		r.workers(1)
		r.want("a2")
		r.finish(0, receipt.Done)
		r.offerEvents(ev{"b", 1, "x", 1}, ev{"a", 3, "other", 1}, ev{"a", 4, "x", 1})
		r.serve(2)
		r.want("a2 b1 a3 a4")
		r.drained()
		if len(r.f.latest) != 0 {
			t.Errorf("%s: %d sub-keys are left", name, len(r.f.latest))
		}
	}
}

// A sub-key that changes while the event waits leaves nothing behind that another
// event could be taken for.
func TestSubKeyThatChanges(t *testing.T) {
	calls := 0
	r := newRig(t, Config[ev]{KeyOverflow: Conflate, SubKey: func(ev) string { calls++; return fmt.Sprint(calls) }})
	r.offerEvents(ev{"a", 1, "", 1}, ev{"b", 1, "", 1})
	r.workers(1).serve(2)
	calls = 0
	r.offerEvents(ev{"c", 1, "", 1}, ev{"a", 2, "", 1})
	r.serve(2)
	r.want("a1 b1 c1 a2")
	if r.f.Snapshot().Misused["SubKey"] == 0 {
		t.Error("not counted")
	}
}

// A key that is not equal to itself can be neither found nor unparked: it takes up no
// place among the parked keys, and its events go through.
func TestKeyThatIsNotEqualToItself(t *testing.T) {
	f := option.Must(New(func(v float64) float64 { return v }, Config[float64]{MaxParked: 2}))
	for range 10 {
		if f.Park(math.NaN()) {
			t.Fatal("a NaN is parked")
		}
	}
	if !f.Park(1) || !f.Park(2) || f.Snapshot().Parked != 2 {
		t.Error("no room for other keys")
	}
	out := &nanOut{}
	_ = f.Subscribe(0, dispatcher.SubscribeConfig{})
	f.Ask(0, 3)
	f.Dispatch(dispatcher.Offer[float64]{Events: []float64{math.NaN(), math.NaN(), math.NaN()}, First: 1}, out)
	if out.n != 3 || f.Snapshot().Misused["key"] != 3 {
		t.Errorf("%d given, misused %v", out.n, f.Snapshot().Misused)
	}
}

type nanOut struct{ n int }

func (o *nanOut) Give(int, int, int)                      {}
func (o *nanOut) GiveHeld(int, float64, uint64, uint64)   { o.n++ }
func (o *nanOut) Discard(float64, uint64, receipt.Reason) {}
