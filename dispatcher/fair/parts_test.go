package fair

import (
	"hash/maphash"
	"math/rand/v2"
	"testing"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// The index against a map, with keys that come and go and collide.
func TestIndex(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	var x keyIndex[int]
	x.init(maphash.MakeSeed())
	slots := map[int]uint32{}
	var free []uint32
	top := uint32(0)
	hash := func(k int) uint32 { return x.hash(k) & 0x010000ff } // two parts, many collisions
	for step := range 200_000 {
		k := rng.IntN(300)
		if got := x.find(k, hash(k)); got != slots[k] {
			t.Fatalf("seed %d step %d: key %d is in slot %d, want %d", seed, step, k, got, slots[k])
		}
		if slot := slots[k]; slot != 0 {
			x.remove(hash(k), slot)
			delete(slots, k)
			free = append(free, slot)
			continue
		}
		if len(free) == 0 {
			top++
			free = append(free, top)
		}
		slots[k] = free[len(free)-1]
		free = free[:len(free)-1]
		x.insert(k, hash(k), slots[k])
	}
	for _, p := range x.parts {
		if len(p.cells) > 1024 {
			t.Errorf("a part has %d cells for 300 keys", len(p.cells))
		}
	}
}

// The wheel against a list: everything fires once, never early, and no more
// than two ticks late if it is turned whenever Wake says so.
func TestWheel(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	const tick = 1 << tickBits
	for _, jump := range []bool{false, true} {
		f := option.Must(New(evKey, Config[ev]{Rate: Rate{PerSecond: 1}}))
		due := map[uint32]int64{}
		now := int64(rng.Uint64N(1 << 50))
		fire := func(i uint32, s *slot) {
			at, ok := due[i]
			if !ok || at > now || !jump && now > at+2*tick {
				t.Fatalf("seed %d: slot %d fires at %d, was due at %d (%v)", seed, i, now, at, ok)
			}
			delete(due, i)
			f.dropSlot(i, s)
		}
		f.now = now
		f.turn(now, fire)
		for range 50_000 {
			if len(due) < 100 && rng.IntN(3) > 0 {
				i, s := f.newSlot()
				at := now + int64(rng.Uint64N(1<<(10+rng.Uint64N(36))))
				f.delay(i, s, at)
				due[i] = at
				if rng.IntN(4) == 0 {
					f.undelay(s)
					delete(due, i)
					f.dropSlot(i, s)
				}
			}
			switch at, ok := f.Wake(); {
			case ok != (len(due) > 0):
				t.Fatalf("seed %d: Wake %v with %d delayed", seed, ok, len(due))
			case ok && at <= now:
				t.Fatalf("seed %d: Wake at %d is past at %d", seed, at, now)
			case jump:
				now += int64(rng.Uint64N(1 << 40))
			case ok:
				now = at
			}
			f.now = now
			f.turn(now, fire)
			if f.wheel.n != len(due) {
				t.Fatalf("seed %d: %d in the wheel, want %d", seed, f.wheel.n, len(due))
			}
		}
	}
}

// Depth lists are exact up to 15 and within an eighth above.
func TestDepths(t *testing.T) {
	var d depths
	d.init(1000, 1000*16)
	least := uint32(0) // of the list
	for n := range uint32(5000) {
		list := d.list(n, 0)
		switch before := d.list(max(n, 1)-1, 0); {
		case n < 2 && list != 0, n >= 2 && n < 16 && list != uint8(n):
			t.Fatalf("depth %d is in list %d", n, list)
		case n < 16:
		case list == before+1:
			least = n
		case list != before || n-least >= least/8:
			t.Fatalf("depth %d is in list %d, as is %d", n, list, least)
		}
	}
	if d.list(1, 16*10) != 10 || d.list(12, 16*10) != 12 {
		t.Error("bytes do not count as events")
	}
	if d.list(1<<31, 0) <= d.list(1<<30, 0) || d.list(0, 1<<62) < d.list(1<<31, 0) {
		t.Error("the deepest are not in the last lists")
	}
}

// What no dispatcher can change: a source that is one queue, such as a Kafka
// partition, delays all events after a flood in it. Without drops a light
// user's event is not even seen before the flood but for the read-ahead has been
// served; dropping or conflating the flood is what lets it through.
func TestStatedLimitOfOneSource(t *testing.T) {
	const flood, ahead = 1000, 80
	source := make([]ev, 0, flood+1)
	for n := range flood {
		source = append(source, ev{key: "flood", n: n})
	}
	source = append(source, ev{key: "light", n: 1})
	for _, tc := range []struct {
		name        string
		cfg         Config[ev]
		least, most int
	}{
		{"nothing dropped", Config[ev]{MaxEvents: ahead}, flood - ahead, flood},
		{"drop oldest", Config[ev]{MaxEvents: ahead, KeyMaxEvents: ahead / 8, KeyOverflow: DropOldest}, 0, 2},
		{"conflate", Config[ev]{MaxEvents: ahead, KeyOverflow: Conflate, SubKey: func(ev) string { return "" }}, 0, 2},
	} {
		r := newRig(t, tc.cfg)
		rest := source
		take := func() {
			for len(rest) > 0 {
				n := r.offerEvents(rest[:min(len(rest), 50)]...)
				if rest = rest[n:]; n == 0 {
					return
				}
			}
		}
		take()
		r.workers(1)
		before := 0
		for r.log[len(r.log)-1].event.key != "light" {
			before++
			take()
			r.finish(0, receipt.Done)
		}
		t.Logf("%s: the light user waits for %d events", tc.name, before)
		if before < tc.least || before > tc.most {
			t.Errorf("%s: want %d to %d", tc.name, tc.least, tc.most)
		}
	}
}
