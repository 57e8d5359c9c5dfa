package stage

import (
	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/receipt"
)

// lineage knows, at a producer-consumer, which inputs the emitted events were
// made of. An input is finished when all events that were emitted for it are,
// with the worst of their outcomes. It belongs to the stage's goroutine, and is
// made when the first input arrives whose producer wants a receipt.
//
// Inputs and the events emitted for them, their children, form groups: the
// inputs of one chunk with all that was emitted for the chunk, or one input with
// its own. Groups stand in the order of their children's sequence numbers, so
// that a receipt finds its group by a binary search. A group that many later
// ones have overtaken moves to a map, so that memory is proportional to what is
// open.
type lineage[In any] struct {
	groups ring.Ring[group[In]]
	open   int // groups of the ring that have open children
	late   map[uint64]*group[In]
	held   []inputs[In] // by slot; the emitter gives the slots out
	words  [][]uint64   // for group.ended, cleared and not in use
}

// group is a set of inputs and the n events that were emitted for them, with
// sequence numbers from first on.
type group[In any] struct {
	first   uint64
	n, open int
	each    bool     // the i-th child is that of the i-th input alone
	front   int      // then, the children at the front that have ended, while ended is nil
	ended   []uint64 // by bit, the children that have ended; nil while they end in order
	worst   receipt.Outcome
	reason  receipt.Reason
	inputs  inputs[In]
	more    []inputs[In]
}

// inputs are n events of a subscription, from a position on.
// A nil sub means inputs that want no receipt.
type inputs[In any] struct {
	sub      *Subscription[In]
	position uint64
	n        int
}

// finish gives n inputs their receipt, if their producer wants it.
func (in inputs[In]) finish(outcome receipt.Outcome, reason receipt.Reason) {
	if in.sub == nil || in.n == 0 {
		return
	}
	in.sub.finishInputs(in.position, in.n, outcome, reason)
}

// part returns n of the inputs, from the i-th on.
func (in inputs[In]) part(i, n int) inputs[In] {
	return inputs[In]{sub: in.sub, position: in.position + uint64(i), n: n}
}

// takeHeld empties a slot of held, and returns what was in it: no inputs if the call that
// held them has failed.
func (l *lineage[In]) takeHeld(slot uint32) (in inputs[In]) {
	if int(slot) < len(l.held) {
		in, l.held[slot] = l.held[slot], in
	}
	return in
}

// add forms a group of inputs with the n events that were emitted for them, from
// a sequence number on. Without children the inputs are finished.
func (l *lineage[In]) add(first uint64, n int, in inputs[In], more []inputs[In]) {
	if n == 0 {
		finishAll(in, more, receipt.Done, "")
		return
	}
	l.push(group[In]{first: first, n: n, open: n, inputs: in, more: more})
}

// maxEach bounds the children of a group of inputs with one child each. It is a multiple of
// 64, the bits of a word.
const maxEach = 1024

// addEach adds inputs with one child each. They join those of the group before them, if
// they follow each other on both sides.
func (l *lineage[In]) addEach(seq uint64, in inputs[In]) {
	if last := l.groups.Len() - 1; last >= 0 {
		g := l.groups.At(last)
		if g.each && g.open > 0 && g.n < maxEach && g.inputs.sub == in.sub && g.first+uint64(g.n) == seq && g.inputs.position+uint64(g.n) == in.position {
			n := min(in.n, maxEach-g.n)
			g.n += n
			g.open += n
			g.inputs.n += n
			seq += uint64(n)
			in = in.part(n, in.n-n)
		}
	}
	for in.n > 0 {
		n := min(in.n, maxEach)
		l.push(group[In]{first: seq, n: n, open: n, each: true, inputs: in.part(0, n)})
		seq += uint64(n)
		in = in.part(n, in.n-n)
	}
}

// push adds a group, whose children must follow those of all others.
func (l *lineage[In]) push(g group[In]) {
	l.groups.Push(g)
	l.open++
}

// ended implements ancestry: n events from seq on have ended alike. The run may cover
// several groups, parts of them, and events of no group. trim comes last, since it moves
// groups.
func (l *lineage[In]) ended(seq uint64, n int, outcome receipt.Outcome, reason receipt.Reason) {
	for n > 0 {
		k := 1
		if g, ok := l.late[seq]; ok {
			if l.end(g, seq, 1, outcome, reason) {
				l.dropLate(g)
			}
		} else if g, before := l.find(seq); g == nil {
			// Of no input. Among the events up to the next group may be overtaken
			// ones, which only a look at each finds.
			switch {
			case len(l.late) > 0:
			case before > 0:
				k = min(n, before)
			default:
				k = n
			}
		} else {
			k = min(n, int(g.first+uint64(g.n)-seq))
			if l.end(g, seq, k, outcome, reason) {
				l.open--
			}
		}
		seq += uint64(k)
		n -= k
	}
	l.trim()
}

// find returns the group of an event. For an event without a group, before is
// the number of events up to the next group, or 0 if there is none.
func (l *lineage[In]) find(seq uint64) (g *group[In], before int) {
	lo, hi := 0, l.groups.Len() // the first group that begins after seq
	if hi > 0 {
		if g = l.groups.At(0); seq >= g.first && seq < g.first+uint64(g.n) {
			return g, 0
		}
	}
	for lo < hi {
		if mid := (lo + hi) / 2; l.groups.At(mid).first <= seq {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo > 0 {
		if g = l.groups.At(lo - 1); seq < g.first+uint64(g.n) {
			return g, 0
		}
	}
	if lo < l.groups.Len() {
		before = int(l.groups.At(lo).first - seq)
	}
	return nil, before
}

// end takes the end of n children and reports whether they were the last. In an each
// group, the inputs get their receipts at once; otherwise all of them when the last child
// has ended, with the worst outcome.
func (l *lineage[In]) end(g *group[In], seq uint64, n int, outcome receipt.Outcome, reason receipt.Reason) bool {
	g.open -= n
	if g.each {
		at := int(seq - g.first)
		switch {
		case at == g.front && g.ended == nil:
			g.front += n
		case g.open > 0:
			l.endEach(g, at, n)
		}
		g.inputs.part(at, n).finish(outcome, reason)
		return g.open == 0
	}
	if worse(outcome, reason, g.worst, g.reason) {
		g.worst, g.reason = outcome, reason
	}
	if g.open > 0 {
		return false
	}
	finishAll(g.inputs, g.more, g.worst, g.reason)
	return true
}

// endEach notes the end of n children of an each group, from a place on, out of their
// order.
func (l *lineage[In]) endEach(g *group[In], at, n int) {
	if g.ended == nil {
		if last := len(l.words) - 1; last >= 0 {
			g.ended, l.words = l.words[last], l.words[:last]
		} else {
			g.ended = make([]uint64, maxEach/64)
		}
		setBits(g.ended, 0, g.front)
	}
	setBits(g.ended, at, n)
}

// setBits sets n bits from a place on.
func setBits(words []uint64, at, n int) {
	for n > 0 {
		k := min(n, 64-at%64)
		words[at/64] |= (1<<k - 1) << (at % 64)
		at += k
		n -= k
	}
}

// hasEnded reports whether the i-th child of an each group has ended.
func (g *group[In]) hasEnded(i int) bool {
	if g.ended == nil {
		return i < g.front
	}
	return g.ended[i/64]&(1<<(i%64)) != 0
}

// finishAll gives all inputs of a group the same receipt.
func finishAll[In any](in inputs[In], more []inputs[In], outcome receipt.Outcome, reason receipt.Reason) {
	in.finish(outcome, reason)
	for _, other := range more {
		other.finish(outcome, reason)
	}
}

// trim drops finished groups at the front, and moves open ones there to the map
// while too many later ones are finished.
func (l *lineage[In]) trim() {
	for l.groups.Len() > 0 {
		g := l.groups.At(0)
		if g.open > 0 {
			// The finished groups after it are few compared with the open ones.
			if l.groups.Len() <= spare+2*l.open {
				return
			}
			l.moveLate(*g)
			l.open--
		}
		if g.ended != nil {
			clear(g.ended)
			l.words = append(l.words, g.ended)
		}
		l.groups.Drop(1)
	}
}

// moveLate moves an open group to the map. Inputs with one child each part there, so
// that only the open ones take room.
func (l *lineage[In]) moveLate(g group[In]) {
	if l.late == nil {
		l.late = make(map[uint64]*group[In])
	}
	if !g.each {
		for i := range g.n { // those that have ended go with the last one
			l.late[g.first+uint64(i)] = &g
		}
		return
	}
	for i := range g.n {
		if !g.hasEnded(i) {
			seq := g.first + uint64(i)
			l.late[seq] = &group[In]{first: seq, n: 1, open: 1, each: true, inputs: g.inputs.part(i, 1)}
		}
	}
}

// dropLate removes a finished group from the map, where it has an entry for each child.
func (l *lineage[In]) dropLate(g *group[In]) {
	for i := range g.n {
		delete(l.late, g.first+uint64(i))
	}
}
