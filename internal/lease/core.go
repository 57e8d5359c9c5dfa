package lease

import "github.com/penstock-go/penstock/receipt"

// phase is how far the life of a source has come. Only a running one fetches.
type phase uint8

const (
	running  phase = iota
	draining       // nothing more is fetched; receipts, renewals and settling continue
	closing        // no receipts come any more
)

// hold is one lease. Receipts find it by its pointer, so that one that comes after the
// lease was lost cannot be taken for one of a later lease of the same item.
type hold[K comparable] struct {
	Held[K]
	lost  bool
	ended bool // its end waits for the store, or is under way there
}

// ending is a lease that waits for the store to take its end.
type ending[K comparable] struct {
	h    *hold[K]
	end  End
	text string
}

// core is what a source decides with.
type core[K comparable] struct {
	phase  phase
	window int

	owed    int                 // demand that has not been emitted yet
	held    map[K]*hold[K]      // every lease, until its end is in the store or it is lost
	ready   []*hold[K]          // fetched and not emitted, in order
	flights map[uint64]*hold[K] // emitted and without a receipt, by number
	next    uint64              // of the event that is emitted next
	ends    []ending[K]         // not in the store yet, the oldest first
	empty   bool                // the last fetch found nothing

	fetched, done, failed, released, lost, late, again int64
}

func newCore[K comparable](window int) core[K] {
	return core[K]{window: window, held: make(map[K]*hold[K]), flights: make(map[uint64]*hold[K])}
}

// room returns how many items may be fetched, at most limit.
func (c *core[K]) room(limit int) int {
	if c.phase != running {
		return 0
	}
	return max(0, min(c.owed-len(c.ready), c.window-len(c.held), limit))
}

// take takes an item that was fetched. It returns nil if the source holds it already: its
// lease had run out unnoticed and is renewed, and the event is in flight. A lease that is
// fetched in vain, during a drain, ends at once.
func (c *core[K]) take(id K, fence int64) *hold[K] {
	c.fetched++
	if h := c.held[id]; h != nil {
		h.Fence = fence
		c.again++
		return nil
	}
	h := &hold[K]{Held: Held[K]{id, fence}}
	c.held[id] = h
	if c.phase != running {
		c.finish(h, Unused, "")
		return nil
	}
	return h
}

// makeReady has the item emitted.
func (c *core[K]) makeReady(h *hold[K]) { c.ready = append(c.ready, h) }

// finish notes the end of a lease. That of a lost one changes nothing.
func (c *core[K]) finish(h *hold[K], end End, text string) {
	if h.lost {
		c.late++
		return
	}
	switch end {
	case Done:
		c.done++
	case Failed:
		c.failed++
	case Released:
		c.released++
	}
	h.ended = true
	c.ends = append(c.ends, ending[K]{h, end, text})
}

// emit takes the ready items. For each, in order, it calls f with whether it is emitted:
// another process has those that were lost meanwhile.
func (c *core[K]) emit(f func(emitted bool)) {
	for i, h := range c.ready {
		c.ready[i] = nil
		if h.lost {
			f(false)
			continue
		}
		c.flights[c.next] = h
		c.next++
		c.owed--
		f(true)
	}
	c.ready = c.ready[:0]
}

// receive takes the receipt of the count events from number first on, with the text of the error
// of failed ones.
func (c *core[K]) receive(first uint64, count int, outcome receipt.Outcome, text string) {
	end := Done
	switch outcome {
	case receipt.Failed:
		end = Failed
	case receipt.Abandoned, receipt.Returned, receipt.Requeued:
		end = Released
	}
	for n := first; n < first+uint64(count); n++ {
		if h := c.flights[n]; h != nil {
			delete(c.flights, n)
			c.finish(h, end, text)
		}
	}
}

// verdicts appends up to limit ends to the list, those that are to be settled next. They stay
// until settled.
func (c *core[K]) verdicts(list []Verdict[K], limit int) []Verdict[K] {
	for _, e := range c.ends[:min(limit, len(c.ends))] {
		list = append(list, Verdict[K]{e.h.ID, e.h.Fence, e.end, e.text})
	}
	return list
}

// settled notes that ends are in the store: those that verdicts returned last. An item that was
// fetched again while its end was under way has a newer lease, to which the end belongs now.
func (c *core[K]) settled(list []Verdict[K]) {
	kept := 0
	for i, v := range list {
		e := c.ends[i]
		switch {
		case c.held[v.ID] != e.h:
		case e.h.Fence != v.Fence:
			c.ends[kept] = e
			kept++
		default:
			delete(c.held, v.ID)
		}
	}
	rest := kept + copy(c.ends[kept:], c.ends[len(list):])
	clear(c.ends[rest:])
	c.ends = c.ends[:rest]
}

// renewals returns all leases.
func (c *core[K]) renewals() (list []Held[K]) {
	for _, h := range c.held {
		list = append(list, h.Held)
	}
	return list
}

// lose forgets leases that the store does not have any more, and returns how many of them were
// lost to another process. Those that have ended are not: either their end is in the store and
// its answer under way, or the store will find by the fence that the end is late. A lease that
// was fetched again meanwhile has another fence and stays.
func (c *core[K]) lose(list []Held[K]) (n int) {
	for _, l := range list {
		h := c.held[l.ID]
		if h == nil || h.Fence != l.Fence {
			continue
		}
		delete(c.held, l.ID)
		if !h.ended {
			h.lost = true
			n++
		}
	}
	c.lost += int64(n)
	return n
}

// advance moves the source to a later phase. What was not emitted is given back, and what has
// no receipt when the source closes.
func (c *core[K]) advance(to phase) {
	if to <= c.phase {
		return
	}
	c.phase = to
	for _, h := range c.ready {
		c.finish(h, Unused, "")
	}
	c.ready = nil
	if to == closing {
		for n, h := range c.flights {
			delete(c.flights, n)
			c.finish(h, Released, "")
		}
	}
}

// stalled reports whether events that were asked for need receipts of others first. ordered
// is set if the store keeps items back behind others of their key.
func (c *core[K]) stalled(ordered bool) bool {
	return c.owed > 0 && len(c.flights) > 0 && (len(c.held) >= c.window || ordered && c.empty)
}
