package producer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// waiter is a push of the model that waits.
type waiter struct {
	p    *place[int]
	key  string
	size int64
}

// model is a gate in its simplest form: lists that are searched.
type model struct {
	capacity, keyMax int
	maxBytes         int64
	waiting          int
	accepted         []ticketOf // without a receipt
	lines            map[string][]waiter
	rotation         []string
}

type ticketOf struct {
	ticket[int]
	key string
}

func (m *model) unfinished(key string) (n int, bytes int64) {
	for _, t := range m.accepted {
		if t.key == key {
			n++
		}
		bytes += t.size
	}
	return n, bytes
}

func (m *model) check(key string, size int64) bound {
	n, bytes := m.unfinished(key)
	switch {
	case size > m.maxBytes:
		return tooLarge
	case n >= m.keyMax:
		return keyFull
	case m.waiting >= m.capacity:
		return full
	case len(m.rotation) > 0 || bytes+size > m.maxBytes:
		return heavy
	}
	return open
}

// list brings the rotation up to date: keys whose first push may have its turn are in it.
func (m *model) list(key string) {
	n, _ := m.unfinished(key)
	in := slices.Contains(m.rotation, key)
	switch may := len(m.lines[key]) > 0 && n < m.keyMax; {
	case may && !in:
		m.rotation = append(m.rotation, key)
	case !may && in:
		m.rotation = slices.DeleteFunc(m.rotation, func(k string) bool { return k == key })
	}
}

func (m *model) next() *place[int] {
	if len(m.rotation) == 0 || m.waiting >= m.capacity {
		return nil
	}
	key := m.rotation[0]
	w := m.lines[key][0]
	if _, bytes := m.unfinished(key); bytes+w.size > m.maxBytes {
		return nil
	}
	m.lines[key] = m.lines[key][1:]
	m.rotation = m.rotation[1:]
	m.waiting++
	m.accepted = append(m.accepted, ticketOf{w.p.ticket, key})
	m.list(key)
	return w.p
}

// Whatever is pushed, taken, finished and cancelled in whatever order, the gate decides
// as the model does, exceeds no bound, and forgets every key of which nothing is left.
func TestGateAsModel(t *testing.T) {
	for round := range 300 {
		seed := rand.Uint64()
		rnd := rand.New(rand.NewPCG(seed, 0))
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Logf("seed %d", seed)
			m := &model{capacity: 1 + rnd.IntN(6), keyMax: 1 + rnd.IntN(4), maxBytes: 10 + rnd.Int64N(30), lines: make(map[string][]waiter)}
			g := newGate[int](m.capacity, true, m.keyMax, m.maxBytes)
			g.peak = smallMap * 8 // small maps are replaced as well
			keys := []string{"", "a", "b", "c", "d"}[:1+rnd.IntN(5)]
			for step := range 400 {
				switch rnd.IntN(8) {
				case 0, 1, 2: // a push
					key, size := keys[rnd.IntN(len(keys))], rnd.Int64N(12)
					if rnd.IntN(50) == 0 {
						size = m.maxBytes + 1
					}
					got, want := g.check(key, size), m.check(key, size)
					if got != want {
						t.Fatalf("step %d: push of %q, %d bytes: %v, want %v", step, key, size, got, want)
					}
					switch {
					case got == open:
						m.waiting++
						m.accepted = append(m.accepted, ticketOf{g.enter(key, size), key})
					case got != tooLarge && rnd.IntN(2) == 0:
						p := new(place[int])
						g.join(p, key, size)
						m.lines[key] = append(m.lines[key], waiter{p, key, size})
						m.list(key)
					}
				case 3, 4: // the stage takes events
					n := rnd.IntN(m.waiting + 1)
					g.taken(n)
					m.waiting -= n
				case 5, 6: // a receipt
					if len(m.accepted) == 0 {
						break
					}
					i := rnd.IntN(len(m.accepted))
					done := m.accepted[i]
					m.accepted = slices.Delete(m.accepted, i, i+1)
					g.finish(done.ticket)
					m.list(done.key)
				case 7: // a push is cancelled
					key := keys[rnd.IntN(len(keys))]
					if line := m.lines[key]; len(line) > 0 {
						i := rnd.IntN(len(line))
						g.leave(line[i].p)
						m.lines[key] = slices.Delete(slices.Clone(line), i, i+1)
						m.list(key)
					}
				}
				for {
					got, want := g.next(), m.next()
					if got != want {
						t.Fatalf("step %d: another push was let in than by the model", step)
					}
					if got == nil {
						break
					}
				}
				m.compare(t, step, &g)
			}
			blocked, refused := g.blocked, 0
			g.refuseAll(func(*place[int]) { refused++ })
			if refused != blocked {
				t.Errorf("%d pushes refused at the end, want %d", refused, blocked)
			}
			for _, left := range m.accepted {
				g.finish(left.ticket)
			}
			if len(g.keys) != 0 || g.rotation != nil || g.blocked != 0 || g.unfinished != 0 || g.bytes != 0 || g.fullKeys != 0 {
				t.Errorf("left at the end: %+v", g)
			}
			if len(g.spare) > spareAccounts {
				t.Errorf("%d accounts are kept", len(g.spare))
			}
		})
	}
}

func (m *model) compare(t *testing.T, step int, g *gate[int]) {
	t.Helper()
	blocked, known, fullKeys := 0, 0, 0
	for _, key := range []string{"", "a", "b", "c", "d"} {
		n, _ := m.unfinished(key)
		blocked += len(m.lines[key])
		if n > 0 || len(m.lines[key]) > 0 {
			known++
		}
		if n == m.keyMax {
			fullKeys++
		}
		if n > m.keyMax {
			t.Fatalf("step %d: %d unfinished events of %q", step, n, key)
		}
	}
	_, bytes := m.unfinished("")
	if g.waiting != m.waiting || g.unfinished != len(m.accepted) || g.bytes != bytes || g.blocked != blocked || len(g.keys) != known || g.fullKeys != fullKeys {
		t.Fatalf("step %d: %+v, want %d waiting, %d unfinished, %d bytes, %d blocked, %d keys, %d of them full",
			step, g, m.waiting, len(m.accepted), bytes, blocked, known, fullKeys)
	}
	if g.waiting > g.capacity || g.bytes > g.maxBytes {
		t.Fatalf("step %d: a bound is exceeded: %+v", step, g)
	}
}

// A map of many keys is replaced when they are gone.
func TestGateForgetsKeys(t *testing.T) {
	g := newGate[int](1<<20, true, 1, 0)
	var all []ticket[int]
	for i := range 100_000 {
		all = append(all, g.enter(fmt.Sprint("user-", i), 0))
	}
	for _, done := range all {
		g.finish(done)
	}
	if len(g.keys) != 0 || g.peak > smallMap || len(g.spare) > spareAccounts {
		t.Errorf("%d keys are left in a map made for %d, %d accounts are kept", len(g.keys), g.peak, len(g.spare))
	}
}

// TestRefuseAllIsQuick pins that a queue with many keys is closed in one pass through
// them, however many pushes of one key wait: it is done under the queue's lock.
func TestRefuseAllIsQuick(t *testing.T) {
	const keys, pushes = 50_000, 50_000
	g := newGate[int](keys+1, true, 1, 0)
	for i := range keys {
		g.enter(fmt.Sprint(i), 0)
	}
	for range pushes {
		g.join(new(place[int]), "0", 0)
	}
	begin, refused := time.Now(), 0
	g.refuseAll(func(*place[int]) { refused++ })
	// One pass takes some milliseconds, a pass for each push half a minute.
	if took := time.Since(begin); refused != pushes || took > 3*time.Second {
		t.Errorf("%d pushes refused in %v", refused, took)
	}
}
