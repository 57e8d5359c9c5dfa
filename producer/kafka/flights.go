package kafka

import (
	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/stage"
)

// flights are the emitted events that have no receipt yet, by the number that the
// stage gives them: each event that a stage emits has the next number, from 0 on.
// It is a pure state machine. Records of a partition whose offsets follow each
// other are one run.
type flights struct {
	marks // events with a receipt
	runs  ring.Ring[flightRun]
}

// span is a run of records with consecutive offsets of one assignment of a
// partition.
type span struct {
	part   *partition
	offset int64
	n      int
}

// flightRun is a span of which the first event has number at.
type flightRun struct {
	at uint64
	span
}

// push adds the events of s, which were just emitted, as the next numbers.
func (f *flights) push(s span) {
	if last := f.runs.Len() - 1; last >= 0 && f.runs.At(last).extend(s) {
		f.extend(s.n)
		return
	}
	f.runs.Push(flightRun{at: f.next, span: s})
	f.extend(s.n)
}

// extend makes s part of r, if it continues it, and reports whether it does.
func (r *span) extend(s span) bool {
	if r.part != s.part || r.offset+int64(r.n) != s.offset {
		return false
	}
	r.n += s.n
	return true
}

// land gives the first events from a number on, and before end, their receipt: as
// many as are in one span. It returns them and the number to go on from; there are
// none, n = 0, when all up to end had their receipt.
func (f *flights) land(from, end uint64) (landed span, next uint64) {
	at, n := f.stretch(from, end)
	if n == 0 {
		return span{}, end
	}
	r := f.find(at)
	n = min(n, int(r.at+uint64(r.n)-at))
	landed = span{part: r.part, offset: r.offset + int64(at-r.at), n: n}
	f.mark(at, n)
	for f.runs.Len() > 0 && f.runs.At(0).at+uint64(f.runs.At(0).n) <= f.base {
		f.runs.Drop(1)
	}
	return landed, at + uint64(n)
}

// find returns the run of an event that has no receipt yet.
func (f *flights) find(number uint64) *flightRun {
	lo, hi := 1, f.runs.Len() // the first run that begins after number
	for lo < hi {
		if mid := (lo + hi) / 2; f.runs.At(mid).at <= number {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return f.runs.At(lo - 1)
}

// queues returns the events of the partitions for which which is true, from the first one
// without a receipt on: a list for each, in order.
func (f *flights) queues(which func(*partition) bool) (lists [][]stage.Span) {
	places := map[*partition]int{}
	for i := range f.runs.Len() {
		r := f.runs.At(i)
		if !which(r.part) {
			continue
		}
		place, known := places[r.part]
		if !known {
			place = len(lists)
			places[r.part], lists = place, append(lists, nil)
		}
		lists[place] = append(lists[place], stage.Span{First: r.at, Count: r.n})
	}
	return lists
}

// of returns the events without a receipt of the partitions for which which is true.
func (f *flights) of(which func(*partition) bool) (list []stage.Span) {
	for i := range f.runs.Len() {
		r := f.runs.At(i)
		if !which(r.part) {
			continue
		}
		for at, end := r.at, r.at+uint64(r.n); ; {
			first, n := f.stretch(at, end)
			if n == 0 {
				break
			}
			list = append(list, stage.Span{First: first, Count: n})
			at = first + uint64(n)
		}
	}
	return list
}

// count is the number of events without a receipt of the partitions for which which is true.
func (f *flights) count(which func(*partition) bool) (n int) {
	for _, s := range f.of(which) {
		n += s.Count
	}
	return n
}
