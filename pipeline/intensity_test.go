package pipeline

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestIntensity(t *testing.T) {
	start := time.Unix(0, 0)
	const ms = time.Millisecond
	type death struct {
		at    time.Duration
		pause time.Duration // -1 for the end
	}
	for name, tc := range map[string]struct {
		policy Restart
		deaths []death
	}{
		"the default":       {Restart{}, []death{{0, 100 * ms}, {100 * ms, 200 * ms}, {300 * ms, 400 * ms}, {700 * ms, -1}}},
		"the window":        {Restart{}, []death{{0, 100 * ms}, {5000 * ms, 100 * ms}, {5001 * ms, 200 * ms}, {5002 * ms, 400 * ms}, {9999 * ms, -1}}},
		"the window moves":  {Restart{}, []death{{0, 100 * ms}, {1, 200 * ms}, {2, 400 * ms}, {5000*ms + 1, 200 * ms}, {5000*ms + 1, 400 * ms}, {5000*ms + 1, -1}}},
		"no restart":        {Restart{MaxRestarts: NoRestart}, []death{{0, -1}}},
		"one":               {Restart{MaxRestarts: 1, Backoff: 1}, []death{{0, 1}, {1, -1}}},
		"the longest pause": {Restart{MaxRestarts: math.MaxInt, MaxBackoff: 300 * ms}, []death{{0, 100 * ms}, {1, 200 * ms}, {2, 300 * ms}, {3, 300 * ms}}},
		"a long first one":  {Restart{Backoff: time.Minute}, []death{{0, time.Minute}}},
	} {
		t.Run(name, func(t *testing.T) {
			i := intensity{policy: tc.policy.or(Restart{})}
			for n, d := range tc.deaths {
				pause, ok := i.next(start.Add(d.at))
				if !ok {
					pause = -1
				}
				if pause != d.pause {
					t.Fatalf("death %d: pause %v, want %v", n, pause, d.pause)
				}
			}
		})
	}
}

// TestIntensityModel compares with all deaths remembered.
func TestIntensityModel(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		policy := Restart{MaxRestarts: 1 + r.IntN(5), Window: time.Duration(1 + r.IntN(100))}.or(Restart{})
		i := intensity{policy: policy}
		now := time.Unix(0, 0)
		var times []time.Time
		for range 100 {
			now = now.Add(time.Duration(r.IntN(60)))
			within := 0
			for _, at := range times {
				if now.Sub(at) < policy.Window {
					within++
				}
			}
			_, ok := i.next(now)
			if want := within < policy.MaxRestarts; ok != want {
				t.Fatalf("%+v: %d within the window: %v", policy, within, ok)
			}
			if ok {
				times = append(times, now)
			}
		}
	}
}
