package kafka

import (
	"math/bits"

	"github.com/penstock-go/penstock/internal/ring"
)

// tracker records which records of one assignment of a partition are finished,
// and up to which they are finished without a gap. It is a pure state machine.
//
// Records are numbered by their position in the order of delivery. A bit for
// each position from the first unfinished one on is set if it is finished;
// runs map positions to offsets, one for each stretch of consecutive offsets,
// so that the usual partition costs one bit a record and a compacted one 32
// bytes more for each gap.
type tracker struct {
	started bool
	runs    ring.Ring[run] // cover base to next-1
	bits    []uint64       // a ring of positions, the length a power of two
	base    uint64         // position of the first unfinished record
	next    uint64         // position of the next record
	open    int            // unfinished records

	head      int64 // the offset to commit: all delivered records below are finished
	headEpoch int32 // the leader epoch of the record before head
	end       int64 // the offset after the last record
}

// run is a stretch of records with consecutive offsets and one leader epoch.
type run struct {
	at     uint64 // position of the first
	offset int64  // its offset
	epoch  int32
}

// add adds the next record. For an offset at or below one that was added before it
// does nothing and returns false.
func (t *tracker) add(offset int64, leaderEpoch int32) bool {
	if t.started && offset < t.end {
		return false
	}
	if !t.started {
		t.started, t.headEpoch = true, -1
	}
	n := t.runs.Len()
	if n == 0 || offset != t.end || t.runs.At(n-1).epoch != leaderEpoch {
		t.runs.Push(run{at: t.next, offset: offset, epoch: leaderEpoch})
	}
	if t.next-t.base == uint64(len(t.bits))*64 {
		t.grow()
	}
	if t.base == t.next {
		t.head = offset // there is no record between the two
	}
	t.next++
	t.open++
	t.end = offset + 1
	return true
}

// finish marks a record as finished. It returns false if there is no such record,
// or if it was finished before.
func (t *tracker) finish(offset int64) bool {
	pos, ok := t.position(offset)
	if !ok || t.isSet(pos) {
		return false
	}
	word, bit := t.slot(pos)
	t.bits[word] |= bit
	t.open--
	if pos == t.base {
		t.advance()
	}
	return true
}

// advance moves base over all that is finished.
func (t *tracker) advance() {
	for t.base < t.next {
		word, _ := t.slot(t.base)
		shift := t.base % 64
		// As many finished ones as there are from here to the word's end.
		n := uint64(bits.TrailingZeros64(^(t.bits[word] >> shift)))
		n = min(n, 64-shift, t.next-t.base)
		if n == 0 {
			break
		}
		t.bits[word] &^= (1<<n - 1) << shift
		t.base += n
	}
	for t.runs.Len() > 1 && t.runs.At(1).at < t.base {
		t.runs.Drop(1)
	}
	t.headEpoch = t.runs.At(0).epoch // the run of the record before base
	if t.base == t.next {
		t.runs.Drop(t.runs.Len())
		t.head = t.end
		return
	}
	if t.runs.Len() > 1 && t.runs.At(1).at == t.base {
		t.runs.Drop(1)
	}
	first := t.runs.At(0)
	t.head = first.offset + int64(t.base-first.at)
}

// window is the number of records from the first unfinished one to the last,
// finished or not.
func (t *tracker) window() int { return int(t.next - t.base) }

// position finds the record of that offset among those from base on.
func (t *tracker) position(offset int64) (uint64, bool) {
	lo, hi := 0, t.runs.Len() // the last run that begins at or before offset
	for lo < hi {
		if mid := (lo + hi) / 2; t.runs.At(mid).offset <= offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return 0, false
	}
	r := t.runs.At(lo - 1)
	limit := t.next
	if lo < t.runs.Len() {
		limit = t.runs.At(lo).at
	}
	pos := r.at + uint64(offset-r.offset)
	return pos, pos >= t.base && pos < limit
}

func (t *tracker) slot(pos uint64) (word int, bit uint64) {
	at := pos & (uint64(len(t.bits))*64 - 1)
	return int(at / 64), 1 << (at % 64)
}

func (t *tracker) isSet(pos uint64) bool {
	word, bit := t.slot(pos)
	return t.bits[word]&bit != 0
}

func (t *tracker) grow() {
	old := *t
	t.bits = make([]uint64, max(4, 2*len(t.bits)))
	for pos := t.base; pos < t.next; pos++ {
		if old.isSet(pos) {
			word, bit := t.slot(pos)
			t.bits[word] |= bit
		}
	}
}
