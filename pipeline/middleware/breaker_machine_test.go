package middleware

import (
	"math/rand/v2"
	"testing"
	"time"
)

// drive makes attempts one after the other: s, f and u for their results.
func drive(c *circuit, now time.Duration, results string) (admitted int) {
	for _, r := range results {
		g, ok, _ := c.admit(now)
		if !ok {
			continue
		}
		admitted++
		c.end(g, map[rune]result{'s': succeeded, 'f': failed, 'u': unknown}[r], now)
	}
	return admitted
}

func TestCircuitOpens(t *testing.T) {
	for _, c := range []struct {
		name        string
		consecutive int
		ratio       float64
		window      int
		results     string
		opens       bool
	}{
		{"too few in a row", 3, 0, 10, "ffsffs", false},
		{"in a row", 3, 0, 10, "sfff", true},
		{"unknown results do not end a row", 3, 0, 10, "ffuf", true},
		{"unknown results do not count", 3, 0, 10, "fuufuu", false},
		{"ratio of a window that is not full", 0, 0.5, 6, "fffff", false},
		{"ratio", 0, 0.5, 6, "fsfsfs", true},
		{"below the ratio", 0, 0.5, 6, "fsfsssfsss", false},
		{"old failures leave the window", 0, 0.5, 4, "sfsssfsssf", false},
		{"ratio of 1", 0, 1, 3, "ffsffsfff", true},
		{"both", 3, 0.5, 100, "fff", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newCircuit(c.consecutive, c.ratio, c.window, time.Second, time.Minute)
			drive(k, 0, c.results)
			if opened := k.state == BreakerOpen; opened != c.opens {
				t.Errorf("open: %v", opened)
			}
		})
	}
}

// An open circuit lets one attempt through after its pause, which doubles while that fails.
func TestCircuitProbes(t *testing.T) {
	c := newCircuit(1, 0, 10, time.Second, 3*time.Second)
	drive(c, 0, "f")
	now := time.Duration(0)
	for _, pause := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
		if _, ok, wait := c.admit(now + pause - 1); ok || wait != 1 {
			t.Fatalf("before the end of %v: %v, wait %v", pause, ok, wait)
		}
		now += pause
		g, ok, _ := c.admit(now)
		if !ok || c.state != BreakerHalfOpen {
			t.Fatalf("no probe after %v: %v", pause, c.state)
		}
		if _, ok, wait := c.admit(now); ok || wait != time.Second/10 {
			t.Fatalf("a second probe, or wait %v", wait)
		}
		c.end(g, failed, now)
	}
	now += 3 * time.Second
	if n := drive(c, now, "u"); n != 1 || c.state != BreakerHalfOpen {
		t.Fatalf("%d attempts, %v", n, c.state)
	}
	if n := drive(c, now, "ss"); n != 2 || c.state != BreakerClosed {
		t.Fatalf("%d attempts, %v", n, c.state)
	}
	drive(c, now, "f")
	if c.until != now+time.Second {
		t.Errorf("the pause has not begun anew: %v", c.until-now)
	}
}

// What began before the circuit opened does not count when it ends later.
func TestCircuitIgnoresEarlierAttempts(t *testing.T) {
	c := newCircuit(1, 0, 10, time.Second, time.Second)
	early, _, _ := c.admit(0)
	late, _, _ := c.admit(0)
	drive(c, 0, "f")
	c.end(early, succeeded, 0)
	if c.state != BreakerOpen {
		t.Fatal(c.state)
	}
	probe, ok, _ := c.admit(time.Second)
	if !ok {
		t.Fatal("no probe")
	}
	c.end(late, failed, time.Second)
	if c.state != BreakerHalfOpen || !c.probing {
		t.Fatal(c.state)
	}
	c.end(probe, succeeded, time.Second)
	if c.state != BreakerClosed {
		t.Fatal(c.state)
	}
}

// Whatever happens, half-open has one attempt at a time and open none, and an admitted
// attempt that ends always leaves a way back.
func TestCircuitModel(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		window := 1 + rnd.IntN(5)
		c := newCircuit(rnd.IntN(4), float64(rnd.IntN(3))/2, window, 10, 40)
		type attempt struct {
			generation uint64
			half       bool
		}
		var open []attempt
		var recent []bool // of the closed state
		row := 0
		now := time.Duration(0)
		for range 200 {
			now += time.Duration(rnd.IntN(6))
			before := c.state
			if len(open) > 0 && rnd.IntN(2) == 0 {
				i := rnd.IntN(len(open))
				a := open[i]
				open = append(open[:i], open[i+1:]...)
				r := result(rnd.IntN(3))
				current := a.generation == c.generation
				c.end(a.generation, r, now)
				if before == BreakerClosed && current && r != unknown {
					if recent = append(recent, r == failed); len(recent) > window {
						recent = recent[1:]
					}
					if row++; r != failed {
						row = 0
					}
					bad := 0
					for _, f := range recent {
						if f {
							bad++
						}
					}
					want := c.consecutive > 0 && row >= c.consecutive ||
						c.ratio > 0 && len(recent) == window && float64(bad) >= c.ratio*float64(window)
					if (c.state == BreakerOpen) != want {
						t.Fatalf("seed %d: %v after %v, row %d", seed, c.state, recent, row)
					}
				}
				if c.state != before {
					recent, row = nil, 0
				}
				continue
			}
			g, ok, wait := c.admit(now)
			switch {
			case ok:
				open = append(open, attempt{g, c.state == BreakerHalfOpen})
			case c.state == BreakerClosed || wait <= 0:
				t.Fatalf("seed %d: refused in %v, wait %v", seed, c.state, wait)
			}
			probes := 0
			for _, a := range open {
				if a.half && a.generation == c.generation {
					probes++
				}
			}
			if c.state == BreakerOpen && ok || probes > 1 || c.probing != (probes == 1) {
				t.Fatalf("seed %d: %v with %d probes", seed, c.state, probes)
			}
		}
	}
}
