package kafka

import "github.com/penstock-go/penstock/internal/ring"

// tracker records which records of one assignment of a partition are finished,
// and up to which they are finished without a gap. It is a pure state machine.
//
// Records are numbered by their position in the order of delivery. Runs map
// positions to offsets, one for each stretch of consecutive offsets, so that the
// usual partition costs one bit a record and a compacted one 32 bytes more for
// each gap.
type tracker struct {
	marks   // finished records
	started bool
	runs    ring.Ring[run] // cover base to next-1

	// head and headEpoch are what a commit names. They are valid once started is set.
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
	if t.base == t.next {
		t.head = offset // there is no record between the two
	}
	t.extend(1)
	t.end = offset + 1
	return true
}

// addMore adds n records with the offsets after the last one, and its leader epoch.
func (t *tracker) addMore(n int) {
	t.extend(n)
	t.end += int64(n)
}

// finishRun finishes the records with the n offsets from offset on, and returns how
// many of them there were that had not been finished before.
func (t *tracker) finishRun(offset int64, n int) (finished int) {
	last, before := offset+int64(n), t.base
	for offset < last {
		i := t.find(offset)
		if i == 0 {
			if t.runs.Len() == 0 {
				break
			}
			// The range may begin below the first run, if receipts come twice.
			offset = t.runs.At(0).offset // what lies below is finished
			continue
		}
		r, end, next := t.runs.At(i-1), t.next, last
		if i < t.runs.Len() {
			// Between two runs are offsets that were never delivered: compacted, or
			// control records.
			end, next = t.runs.At(i).at, t.runs.At(i).offset
		}
		from := r.at + uint64(offset-r.offset)
		to := min(end, from+uint64(last-offset))
		for {
			at, k := t.stretch(from, to)
			if k == 0 {
				break
			}
			t.mark(at, k)
			finished += k
			from = at + uint64(k)
		}
		offset = next
	}
	if t.base > before {
		t.advance()
	}
	return finished
}

// advance moves head to the first unfinished record, after base has moved. Runs that are
// finished are dropped; the last of them is needed for its epoch first.
func (t *tracker) advance() {
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

// find returns the number of runs that begin at or below an offset: the run of the offset,
// if any, is the one before that index.
func (t *tracker) find(offset int64) int {
	lo, hi := 0, t.runs.Len()
	for lo < hi {
		if mid := (lo + hi) / 2; t.runs.At(mid).offset <= offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
