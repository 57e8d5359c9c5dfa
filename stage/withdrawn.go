package stage

import (
	"errors"
	"maps"
	"slices"
)

// ErrWithdrawn is the Err of a receipt for an event that its source has asked back and
// that was not started. See [Handle.Withdraw].
var ErrWithdrawn = errors.New("withdrawn by the source")

// Span is a run of events that a stage has emitted: the Count events from the number First
// on, as in [Receipt].
type Span struct {
	First uint64
	Count int
}

// spans are runs of numbers or positions, in ascending order, which do not overlap. They
// are not changed once another goroutine may see them.
type spans []Span

// newSpans sorts a list and joins what overlaps. It leaves list as it is.
func newSpans(list []Span) spans {
	s := make(spans, 0, len(list))
	for _, x := range list {
		if x.Count > 0 {
			s = append(s, x)
		}
	}
	slices.SortFunc(s, func(a, b Span) int {
		switch {
		case a.First < b.First:
			return -1
		case a.First > b.First:
			return 1
		}
		return 0
	})
	joined := s[:0]
	for _, x := range s {
		joined = joined.add(x.First, x.Count)
	}
	return joined
}

// add appends a run that begins at or after the last one does, and joins the two if they
// touch.
func (s spans) add(first uint64, n int) spans {
	if last := len(s) - 1; last >= 0 && s[last].end() >= first {
		if end := first + uint64(n); end > s[last].end() {
			s[last].Count = int(end - s[last].First)
		}
		return s
	}
	return append(s, Span{first, n})
}

func (s Span) end() uint64 { return s.First + uint64(s.Count) }

// has reports whether a number is in one of the runs.
func (s spans) has(number uint64) bool {
	i := s.after(number)
	return i > 0 && number < s[i-1].end()
}

// all reports whether the n numbers from first on are in the runs.
func (s spans) all(first uint64, n int) bool {
	i := s.after(first)
	return i > 0 && first+uint64(n) <= s[i-1].end()
}

// any reports whether one of the n numbers from first on is in the runs.
func (s spans) any(first uint64, n int) bool {
	i := s.after(first + uint64(n) - 1)
	return i > 0 && s[i-1].end() > first
}

// after returns the place of the first run that begins after a number.
func (s spans) after(number uint64) int {
	lo, hi := 0, len(s)
	for lo < hi {
		if mid := (lo + hi) / 2; s[mid].First <= number {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// gap is a place in a batch at which n events were taken out.
type gap struct{ at, n int }

// size is the number of positions of a batch, with those that were taken out.
func (b *batch[T]) size() int {
	n := len(b.events)
	if b.holes == nil {
		return n
	}
	for _, g := range b.holes.gaps {
		n += g.n
	}
	return n
}

// cross returns how many events were taken out before the i-th, once.
func (b *batch[T]) cross(i int) (n int) {
	for b.pierced() && b.holes.gaps[0].at <= i {
		n += b.holes.gaps[0].n
		b.holes.gaps = b.holes.gaps[1:]
	}
	return n
}

// pierced reports whether events were taken out that cross has not counted yet.
func (b *batch[T]) pierced() bool { return b.holes != nil && len(b.holes.gaps) > 0 }

// until is the place of the next event before which some were taken out, or the end.
func (b *batch[T]) until() int {
	if b.pierced() {
		return b.holes.gaps[0].at
	}
	return len(b.events)
}

// sweep takes the events out, from the i-th on, whose positions are withdrawn, and calls
// gone for each. position is that of what is at i, gaps at i included.
func (b *batch[T]) sweep(withdrawn spans, i int, position uint64, gone func(position uint64)) {
	events, old, kept := b.events, b.holes.gaps, i
	var gaps []gap
	leave := func(n int) {
		if last := len(gaps) - 1; last >= 0 && gaps[last].at == kept {
			gaps[last].n += n
			return
		}
		gaps = append(gaps, gap{kept, n})
	}
	for ; ; i++ {
		for len(old) > 0 && old[0].at == i {
			leave(old[0].n)
			position += uint64(old[0].n)
			old = old[1:]
		}
		if i == len(events) {
			break
		}
		if withdrawn.has(position) {
			leave(1)
			gone(position)
		} else {
			events[kept] = events[i]
			kept++
		}
		position++
	}
	clear(events[kept:])
	b.events, b.holes.gaps = events[:kept], gaps
}

// withdraw takes the events whose numbers match out of the buffer, and calls gone for each.
// moved is called for each with its place among those that were there.
func (b *buffer[T]) withdraw(match func(seq uint64) bool, gone func(seq uint64, at int)) {
	left := b.left
	for at, n := 0, b.len(); at < n; at++ {
		run, seq := b.front()
		event := run[0]
		b.drop(1)
		if match(seq) {
			gone(seq, at)
		} else {
			b.push([]T{event}, seq)
		}
	}
	b.left = left
}

// each calls f for each open delivery, by position. f must not change the flights.
func (f *flights[T]) each(do func(position, seq uint64)) {
	for position, d := range f.late {
		do(position, d.seq)
	}
	for i := range f.runs.Len() {
		r, end := f.runs.At(i), f.next
		if i+1 < f.runs.Len() {
			end = f.runs.At(i + 1).at
		}
		for position := max(r.at, f.base); position < end; position++ {
			if !f.finished.has(position, f.base) {
				do(position, r.seq+(position-r.at))
			}
		}
	}
}

// overtaken returns the positions of the n oldest deliveries, or fewer, as far as they are
// not in the queue any more.
func (f *flights[T]) overtaken(n int) []uint64 {
	if len(f.late) == 0 {
		return nil
	}
	list := slices.Sorted(maps.Keys(f.late))
	return list[:min(n, len(list))]
}

// children adds the events to whole that are the only child of a withdrawn input, and the
// groups of several children of which all inputs are withdrawn and no child has ended to
// parts.
func (l *lineage[In]) children(whole spans, parts []Span) (spans, []Span) {
	look := func(g *group[In]) {
		switch {
		case g.open == 0:
		case g.each:
			for i := range g.n {
				if !g.hasEnded(i) && g.inputs.part(i, 1).withdrawn() {
					whole = append(whole, Span{g.first + uint64(i), 1})
				}
			}
		case g.open < g.n || !g.withdrawn():
		case g.n == 1:
			whole = append(whole, Span{g.first, 1})
		default:
			parts = append(parts, Span{g.first, g.n})
		}
	}
	for seq, g := range l.late {
		if seq == g.first || g.each {
			look(g)
		}
	}
	for i := range l.groups.Len() {
		look(l.groups.At(i))
	}
	return whole, parts
}

// withdrawn reports whether all inputs of a group are.
func (g *group[In]) withdrawn() bool {
	some := g.inputs.n > 0
	if some && !g.inputs.withdrawn() {
		return false
	}
	for _, in := range g.more {
		if in.n > 0 && !in.withdrawn() {
			return false
		}
		some = some || in.n > 0
	}
	return some
}

// withdrawn reports whether the source has asked all of these back.
func (in inputs[In]) withdrawn() bool {
	if in.sub == nil {
		return false
	}
	w := in.sub.withdrawn.Load()
	return w != nil && w.all(in.position, in.n)
}

// Withdrawn reports whether the source has asked back the event at a position. A handler
// that has not started it gives a receipt with ErrWithdrawn for it. Any goroutine may call
// it.
func (s *Subscription[T]) Withdrawn(position uint64) bool {
	w := s.withdrawn.Load()
	return w != nil && w.has(position)
}
