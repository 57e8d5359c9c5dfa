package middleware

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func TestKeys(t *testing.T) {
	k := newKeys(time.Minute, 2)
	for i, step := range []struct {
		at   time.Duration
		do   string // a key to begin; "+a" and "-a" finish it
		want verdict
	}{
		{0, "a", run},
		{1, "a", wait},
		{2, "-a", 0},
		{3, "a", run}, // the first one has failed
		{4, "+a", 0},
		{5, "a", duplicate},
		{4 + time.Minute - 1, "a", duplicate},
		{4 + time.Minute, "a", run}, // the window is over
		{5 + time.Minute, "b", run},
		{6 + time.Minute, "c", run},
		{7 + time.Minute, "d", run}, // running keys do not count
		{8 + time.Minute, "+c", 0},
		{8 + time.Minute, "+b", 0},
		{9 + time.Minute, "+d", 0}, // there are two now: c, which was done first, makes room
		{9 + time.Minute, "b", duplicate},
		{9 + time.Minute, "d", duplicate},
		{9 + time.Minute, "a", wait},
		{9 + time.Minute, "c", run},
	} {
		switch key := step.do[1:]; step.do[0] {
		case '+', '-':
			k.finish(key, step.do[0] == '+', step.at)
		default:
			if got := k.begin(step.do, step.at); got != step.want {
				t.Errorf("step %d: %s at %v: %v, want %v", i, step.do, step.at, got, step.want)
			}
		}
	}
	if k.forgotten != 1 || k.running != 2 || len(k.records) != 4 {
		t.Errorf("%d forgotten, %d running, %d records", k.forgotten, k.running, len(k.records))
	}
}

// The model keeps all keys in a list, and looks at all of it.
func TestKeysModel(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		const window = 20
		limit := rnd.IntN(6)
		k := newKeys(window, limit)
		type entry struct {
			key string
			at  time.Duration
		}
		var done []entry
		running := make(map[string]bool)
		now := time.Duration(0)
		for range 300 {
			now += time.Duration(rnd.IntN(3))
			for len(done) > 0 && now-done[0].at >= window {
				done = done[1:]
			}
			key := fmt.Sprint(rnd.IntN(12))
			if running[key] && rnd.IntN(2) == 0 {
				ok := rnd.IntN(3) > 0
				k.finish(key, ok, now)
				delete(running, key)
				if ok {
					done = append(done, entry{key, now})
				}
				done = done[max(0, len(done)-limit):]
				continue
			}
			want := run
			if running[key] {
				want = wait
			}
			for _, e := range done {
				if e.key == key {
					want = duplicate
				}
			}
			if got := k.begin(key, now); got != want {
				t.Fatalf("seed %d: %s at %v: %v, want %v", seed, key, now, got, want)
			}
			if want == run {
				running[key] = true
			}
			if k.running != len(running) || k.done.Len() != len(done) || len(k.slots) != len(running)+len(done) {
				t.Fatalf("seed %d: %d running and %d done, want %d and %d", seed, k.running, k.done.Len(), len(running), len(done))
			}
		}
	}
}
