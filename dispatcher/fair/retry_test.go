package fair

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
)

const tick = int64(1 << tickBits)

// exact makes three tries, with pauses of 100 and 200 ms.
var exact = retry.Policy{Jitter: retry.NoJitter, MaxAttempts: 3}

// A failed event waits for its pause at the head of its key, and its key with it. Other keys
// are served meanwhile.
func TestAKeyWaitsForItsPause(t *testing.T) {
	var dead []string
	r := newRig(t, Config[ev]{Retry: exact, DeadLetter: func(e ev, tries int) {
		dead = append(dead, fmt.Sprintf("%s%d after %d", e.key, e.n, tries))
	}}).workers(1)
	r.offer("a", "a", "b", "b")
	at := int64(0)
	for i, pause := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond} {
		if got := r.finish(0, receipt.Failed); got != receipt.Requeued {
			t.Fatalf("failure %d is %v", i+1, got)
		}
		if i == 0 {
			r.serve(2) // of b
		}
		at += int64(pause)
		if wake, ok := r.f.Wake(); !ok || wake > at+2*tick {
			t.Fatalf("wakes at %v, want %v", time.Duration(wake), time.Duration(at))
		}
		r.now = at - 1
		r.dispatch()
		if len(r.flying) != 0 {
			t.Fatalf("%v is handed out before its time", r.flying)
		}
		r.now, at = at+2*tick, at+2*tick
		r.dispatch()
	}
	r.want("a1 b1 b2 a1 a1")
	if got := r.finish(0, receipt.Failed); got != receipt.Failed || fmt.Sprint(dead) != "[a1 after 3]" {
		t.Errorf("the last failure is %v, dead letters %v", got, dead)
	}
	r.want("a1 b1 b2 a1 a1 a2") // the next one does not wait
	r.serve(1)
	r.drained()
}

// The zero policy hands nothing out again; one with any option set has the defaults for the
// others.
func TestRetryDefaults(t *testing.T) {
	for tries, p := range map[int]retry.Policy{
		1:   {},
		3:   {Backoff: retry.NoPause},
		300: {MaxAttempts: 300, Backoff: retry.NoPause},
	} {
		dead := 0
		r := newRig(t, Config[ev]{Retry: p, DeadLetter: func(_ ev, tries int) { dead = tries }}).workers(1)
		r.offer("a")
		n := 1
		for r.finish(0, receipt.Failed) == receipt.Requeued {
			n++
		}
		if n != tries || dead != tries {
			t.Errorf("%+v: %d tries, %d for the dead letter, want %d", p, n, dead, tries)
		}
		r.drained()
	}
}

// Without a bound the count of tries saturates, and the pause stays the largest.
func TestRetryWithoutABound(t *testing.T) {
	r := newRig(t, Config[ev]{Retry: retry.Policy{MaxAttempts: retry.Unlimited, MaxBackoff: time.Second, Jitter: retry.NoJitter}}).workers(1)
	r.offer("a")
	for range 70_000 {
		if r.finish(0, receipt.Failed) != receipt.Requeued || len(r.flying) != 0 {
			t.Fatal("handed out at once, or not again")
		}
		r.now += int64(time.Second) + 2*tick
		r.dispatch()
	}
	r.serve(1)
	r.drained()
}

// With several events of a key in flight all of the key waits.
func TestAnUnorderedKeyWaitsToo(t *testing.T) {
	r := newRig(t, Config[ev]{Retry: exact, UnorderedInFlight: 2}).workers(2)
	r.offer("a", "a", "a")
	r.finish(1, receipt.Failed) // a2
	r.want("a1 a2")
	r.offer("b")
	r.want("a1 a2 b1")
	r.finish(0, receipt.Done) // a1
	r.want("a1 a2 b1")
	r.now = int64(100*time.Millisecond) + 2*tick
	r.dispatch()
	r.want("a1 a2 b1 a2")
	r.serve(2)
	r.want("a1 a2 b1 a2 a3")
	r.serve(1)
	r.drained()
}

// Park and Unpark do not end a pause, and a limit holds after it.
func TestAPauseBesideParkAndRate(t *testing.T) {
	r := newRig(t, Config[ev]{Retry: exact, Rate: Rate{PerSecond: 1}}).workers(1)
	r.offer("a")
	r.finish(0, receipt.Failed)
	r.f.Park("a")
	r.f.Unpark("a")
	r.now = int64(500 * time.Millisecond) // the pause is over, the second of the limit is not
	r.dispatch()
	r.want("a1")
	r.now = int64(time.Second) + 2*tick
	r.dispatch()
	r.want("a1 a1")
	r.finish(0, receipt.Done)
	r.now += int64(time.Hour)
	r.dispatch()
	r.drained()
}
