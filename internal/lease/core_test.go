package lease

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/penstock-go/penstock/receipt"
)

// step fetches what the core has room for and emits it.
func (c *core[K]) step(ids ...K) (emitted int) {
	for _, id := range ids {
		if h := c.take(id, 1); h != nil {
			c.makeReady(h)
		}
	}
	c.emit(func(yes bool) {
		if yes {
			emitted++
		}
	})
	return emitted
}

func TestRoomIsDemandWithinTheWindow(t *testing.T) {
	for _, tc := range []struct {
		name                                 string
		phase                                phase
		owed, ready, held, window, max, want int
	}{
		{"no demand", running, 0, 0, 0, 10, 100, 0},
		{"demand", running, 7, 0, 0, 10, 100, 7},
		{"some of it is ready", running, 7, 3, 3, 10, 100, 4},
		{"window", running, 7, 0, 8, 10, 100, 2},
		{"window is full", running, 7, 0, 10, 10, 100, 0},
		{"a fetch is bounded", running, 700, 0, 0, 1000, 100, 100},
		{"draining", draining, 7, 0, 0, 10, 100, 0},
	} {
		c := newCore[int](tc.window)
		c.phase, c.owed = tc.phase, tc.owed
		for i := range tc.held {
			h := &hold[int]{Held: Held[int]{i, 1}}
			c.held[i] = h
			if i < tc.ready {
				c.ready = append(c.ready, h)
			}
		}
		if n := c.room(tc.max); n != tc.want {
			t.Errorf("%s: room for %d, want %d", tc.name, n, tc.want)
		}
	}
}

func TestReceiptsBecomeEnds(t *testing.T) {
	c := newCore[int](10)
	c.owed = 4
	c.step(1, 2, 3, 4)
	c.receive(0, 1, receipt.Done, "")
	c.receive(1, 1, receipt.Failed, "refused")
	c.receive(2, 1, receipt.Discarded, "")
	c.receive(3, 1, receipt.Abandoned, "")
	c.receive(0, 4, receipt.Failed, "") // known already
	want := []Verdict[int]{{1, 1, Done, ""}, {2, 1, Failed, "refused"}, {3, 1, Done, ""}, {4, 1, Released, ""}}
	if got := c.verdicts(nil, 10); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if len(c.held) != 4 {
		t.Errorf("%d held before they are settled", len(c.held))
	}
	c.settled(want[:3])
	if got := c.verdicts(nil, 10); !slices.Equal(got, want[3:]) || len(c.held) != 1 {
		t.Errorf("left %v, %d held", got, len(c.held))
	}
}

// An item that the server delivers again while it is in work here is not emitted again, and its
// end has the newer fence.
func TestTakenAgainIsNotEmittedAgain(t *testing.T) {
	c := newCore[int](10)
	c.owed = 5
	c.step(1)
	if h := c.take(1, 2); h != nil || c.again != 1 {
		t.Errorf("emitted again: %v", h)
	}
	c.receive(0, 1, receipt.Done, "")
	if got := c.verdicts(nil, 1); got[0] != (Verdict[int]{1, 2, Done, ""}) {
		t.Errorf("got %v", got)
	}
}

// A lost lease has no end, is not emitted, and its receipt does not end a later lease of
// the same item.
func TestLostLeases(t *testing.T) {
	c := newCore[int](10)
	c.owed = 5
	c.step(1)
	c.makeReady(c.take(2, 1))
	if n := c.lose([]Held[int]{{1, 1}, {2, 1}, {3, 1}}); n != 2 {
		t.Errorf("%d lost", n)
	}
	if n := c.step(); n != 0 || c.owed != 4 {
		t.Errorf("%d emitted, %d owed", n, c.owed)
	}
	c.makeReady(c.take(1, 3))
	c.step()
	c.receive(0, 1, receipt.Done, "") // of the first lease
	if got := c.verdicts(nil, 10); len(got) != 0 || c.late != 1 {
		t.Errorf("ends %v, %d late", got, c.late)
	}
	// A renewal that began before the second lease says nothing about that.
	if n := c.lose([]Held[int]{{1, 1}}); n != 0 {
		t.Error("the second lease is lost")
	}
	c.receive(1, 1, receipt.Done, "")
	if got := c.verdicts(nil, 10); len(got) != 1 || got[0].Fence != 3 {
		t.Errorf("ends %v", got)
	}
}

// A renewal beside an end that is under way finds no lease: nothing is lost by that.
func TestAnEndedLeaseIsNotLost(t *testing.T) {
	c := newCore[int](10)
	c.owed = 5
	c.step(1, 2)
	c.receive(0, 1, receipt.Done, "")
	sent := c.verdicts(nil, 10)
	if n := c.lose([]Held[int]{{1, 1}, {2, 1}}); n != 1 || c.lost != 1 {
		t.Errorf("%d lost, only the second is", n)
	}
	if c.settled(sent); len(c.ends) != 0 || len(c.held) != 0 {
		t.Errorf("ends %v, held %v", c.ends, c.held)
	}
}

// An item that is given back can be fetched again before the answer to that comes: the new lease
// ends too.
func TestAnItemFetchedWhileItsEndIsUnderWayEndsAgain(t *testing.T) {
	c := newCore[int](10)
	c.owed = 5
	c.step(1, 2)
	c.receive(0, 1, receipt.Abandoned, "")
	c.receive(1, 1, receipt.Done, "")
	sent := c.verdicts(nil, 10)
	if h := c.take(1, 2); h != nil {
		t.Errorf("emitted: %v", h)
	}
	c.settled(sent)
	again := c.verdicts(nil, 10)
	if !slices.Equal(again, []Verdict[int]{{1, 2, Released, ""}}) || len(c.held) != 1 {
		t.Errorf("ends %v, %d held", again, len(c.held))
	}
	if c.settled(again); len(c.ends) != 0 || len(c.held) != 0 {
		t.Errorf("ends %v, held %v", c.ends, c.held)
	}
}

func TestDrainGivesBackWhatWasNotEmitted(t *testing.T) {
	c := newCore[int](10)
	c.owed = 5
	c.step(1)
	c.makeReady(c.take(2, 1))
	c.advance(draining)
	if h := c.take(3, 1); h != nil {
		t.Error("taken during a drain")
	}
	c.receive(0, 1, receipt.Done, "")
	want := []Verdict[int]{{2, 1, Unused, ""}, {3, 1, Unused, ""}, {1, 1, Done, ""}}
	if got := c.verdicts(nil, 10); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestCloseReleasesWhatIsInFlight(t *testing.T) {
	c := newCore[int](10)
	c.owed = 5
	c.step(1)
	c.advance(closing)
	if got := c.verdicts(nil, 10); len(got) != 1 || got[0].End != Released {
		t.Errorf("got %v", got)
	}
	c.receive(0, 1, receipt.Done, "")
	if len(c.ends) != 1 {
		t.Error("two ends of one lease")
	}
}

// TestRandomLives drives a core against a server that is a map: each item is leased at most
// once at a time, nothing is emitted beyond the demand, held never exceeds the window, and in the
// end every item has ended once.
func TestRandomLives(t *testing.T) {
	for range 300 {
		seed := uint64(time.Now().UnixNano())
		if err := life(rand.New(rand.NewPCG(seed, 1))); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func life(r *rand.Rand) error {
	const n = 200
	window := 1 + r.IntN(20)
	c := newCore[int](window)
	free, ended := make(map[int]int64), make(map[int]int) // free: by item, its leases until now
	for i := range n {
		free[i] = 0
	}
	emitted, asked, inFlight := uint64(0), 0, []uint64{}
	for range 20_000 {
		switch r.IntN(7) {
		case 0:
			k := r.IntN(5)
			c.owed += k
			asked += k
		case 1:
			room := c.room(7)
			for id, fence := range free {
				if room--; room < 0 {
					break
				}
				delete(free, id)
				h := c.take(id, fence+1)
				if h == nil {
					return fmt.Errorf("item %d is held and free", id)
				}
				if r.IntN(10) == 0 {
					c.finish(h, Failed, "poison")
				} else {
					c.makeReady(h)
				}
			}
		case 2:
			c.emit(func(yes bool) {
				if yes {
					inFlight = append(inFlight, emitted)
					emitted++
				}
			})
		case 3, 4:
			if len(inFlight) > 0 {
				i := r.IntN(len(inFlight))
				c.receive(inFlight[i], 1, []receipt.Outcome{receipt.Done, receipt.Failed, receipt.Abandoned, receipt.Discarded}[r.IntN(4)], "")
				inFlight = slices.Delete(inFlight, i, i+1)
			}
		case 5:
			list := c.verdicts(nil, 1+r.IntN(5))
			if r.IntN(3) == 0 {
				break // the call has failed
			}
			for _, v := range list {
				if v.End == Done || v.End == Failed {
					ended[v.ID]++
				} else {
					free[v.ID] = v.Fence
				}
			}
			c.settled(list)
		case 6:
			if held := c.renewals(); len(held) > 0 && r.IntN(20) == 0 {
				// Another process has leased it and gives it back.
				l := held[r.IntN(len(held))]
				settling := slices.ContainsFunc(c.ends, func(e ending[int]) bool { return e.h.ID == l.ID })
				if !settling {
					c.lose([]Held[int]{l})
					free[l.ID] = l.Fence + 1
				}
			}
		}
		if len(c.held) > window || int(emitted) > asked {
			return fmt.Errorf("%d held of %d, %d emitted of %d", len(c.held), window, emitted, asked)
		}
	}
	// The rest.
	for range 1000 {
		c.owed = window
		for id, fence := range free {
			if c.room(1) == 0 {
				break
			}
			delete(free, id)
			c.makeReady(c.take(id, fence+1))
		}
		c.emit(func(yes bool) {
			if yes {
				emitted++
			}
		})
		for number := range c.flights {
			c.receive(number, 1, receipt.Done, "")
		}
		list := c.verdicts(nil, n)
		for _, v := range list {
			if v.End == Done || v.End == Failed {
				ended[v.ID]++
			} else {
				free[v.ID] = v.Fence
			}
		}
		c.settled(list)
	}
	for i := range n {
		if ended[i] != 1 {
			return fmt.Errorf("item %d has ended %d times", i, ended[i])
		}
	}
	if len(c.held)+len(c.flights)+len(c.ready)+len(c.ends) > 0 {
		return fmt.Errorf("left: %d held, %d in flight", len(c.held), len(c.flights))
	}
	return nil
}
