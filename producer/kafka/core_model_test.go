package kafka

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/receipt"
)

// modelRecord is a record that was emitted. life is the assignment that it was
// polled under.
type modelRecord struct {
	part   *partition
	offset int64
}

// coreModel drives a core at random and compares it with an account of single
// events.
type coreModel struct {
	core
	r      *rand.Rand
	log    [3]int64 // the offset after the last record at the broker, by partition
	cursor [3]int64 // the next offset that the client returns
	stored [3]int64 // what the group has committed
	done   [3]map[int64]bool

	flying   []modelRecord // by number
	open     []uint64      // numbers without a receipt
	paused   map[topicPartition]bool
	owned    map[topicPartition]bool
	revoking bool
	settled  bool
	dry      bool // the broker has no more records
}

func TestCoreModel(t *testing.T) {
	for seed := range uint64(2_000) {
		if err := coreRun(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func FuzzCore(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		if err := coreRun(seed); err != nil {
			t.Fatal(err)
		}
	})
}

func coreRun(seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 3))
	m := &coreModel{core: newCore(5 + r.IntN(60)), r: r, paused: map[topicPartition]bool{}, owned: map[topicPartition]bool{}}
	for i := range m.done {
		m.done[i] = map[int64]bool{}
	}
	for step := range 400 {
		if err := m.step(); err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
		if err := m.check(); err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
	}
	return m.finish()
}

func (m *coreModel) step() error {
	p := int32(m.r.IntN(3))
	key := at(p)
	switch m.r.IntN(14) {
	case 0:
		if m.owned[key] || m.revoking {
			return nil
		}
		m.assign([]topicPartition{key})
		m.owned[key], m.cursor[p] = true, m.stored[p]
	case 1:
		if !m.owned[key] || m.revoking {
			return nil
		}
		m.revoking, m.settled = true, !m.revoke([]topicPartition{key})
		if m.settled != (m.parts[key].inFlight == 0) {
			return fmt.Errorf("revoke reports %v with %d in flight", !m.settled, m.parts[key].inFlight)
		}
	case 2:
		for k := range m.owned {
			if m.parts[k].phase == leaving && (m.settled || m.r.IntN(5) == 0) {
				m.commitAll(m.r.IntN(4) == 0)
				m.leave(k)
				m.revoking = false
			}
		}
	case 3:
		if m.owned[key] && !m.revoking && m.r.IntN(4) == 0 { // lost
			m.leave(key)
		}
	case 4:
		m.demand(m.r.IntN(40))
	case 5, 6, 7:
		return m.poll()
	case 8, 9:
		return m.emitAll()
	case 10, 11, 12:
		return m.receipts(m.r.IntN(12) == 0)
	case 13:
		m.commitAll(m.r.IntN(4) == 0)
	}
	return nil
}

func (m *coreModel) leave(key topicPartition) {
	for _, k := range m.forget([]topicPartition{key}) {
		delete(m.paused, k)
	}
	delete(m.owned, key)
}

// poll is what the poller does: poll, take, steer, dispose.
func (m *coreModel) poll() error {
	n, steering := m.core.poll()
	if n+m.waiting > m.owed {
		return fmt.Errorf("polls for %d with %d ready and %d owed", n, m.waiting, m.owed)
	}
	if steering || m.dry {
		n = 0
	}
	for p := range 3 * min(n, 1) {
		key := at(int32(p))
		k := m.r.IntN(30)
		if !m.owned[key] || m.paused[key] || k == 0 {
			continue
		}
		var records []*kgo.Record
		from := m.cursor[p]
		for o := from; o < from+int64(k); o++ {
			if !gap(o) {
				records = append(records, &kgo.Record{Offset: o, LeaderEpoch: int32(o / 64)})
				m.log[p] = max(m.log[p], o+1)
			}
		}
		m.cursor[p] = from + int64(k)
		if part := m.core.open(key, m.log[p]); part != nil {
			var q queue
			q.add(records)
			m.enqueue(part, q)
		}
	}
	if n > 0 {
		// What comes after this was asked for before the pause: it is not tried here.
		for _, k := range m.stop() {
			if m.paused[k] {
				return fmt.Errorf("%v is paused twice", k)
			}
			m.paused[k] = true
		}
	}
	flying := map[topicPartition]int{}
	for k, part := range m.parts {
		flying[k] = part.inFlight
	}
	turns := m.steer()
	for _, h := range turns.rewind {
		if k := h.part.topicPartition; m.parts[k] != h.part || flying[k] != 0 {
			return fmt.Errorf("rewinds %v with %d in flight", k, flying[k])
		}
		m.cursor[h.part.partition] = h.offset
	}
	for _, k := range turns.resume {
		if !m.paused[k] {
			return fmt.Errorf("%v is resumed and was not paused", k)
		}
		delete(m.paused, k)
	}
	for m.r.IntN(8) > 0 {
		if err := m.decode(); err != nil {
			return err
		}
	}
	return nil
}

// decode takes what was queued, as a job of the poller does.
func (m *coreModel) decode() error {
	limit := 1 + m.r.IntN(20)
	part, records := m.pick(limit)
	if len(records) > limit || m.waiting+len(records) > m.owed {
		return fmt.Errorf("picks %d with %d ready and %d owed", len(records), m.waiting, m.owed)
	}
	keep := len(records)
	if m.r.IntN(6) == 0 {
		keep = m.r.IntN(keep + 1)
	}
	var bad []modelRecord
	for at := 0; at < keep; at++ {
		r := records[at]
		poison := m.r.IntN(30) == 0
		if part = m.take(part, r.Offset, r.LeaderEpoch, poison); poison {
			bad = append(bad, modelRecord{part, r.Offset})
			continue
		}
		n := following(records[at:keep], m.r.IntN(20))
		m.takeMore(part, n)
		at += n
	}
	if part != nil {
		m.giveBack(part, records[keep:])
	}
	for _, b := range bad {
		m.order(m.dispose(b.part, b.offset))
		m.done[b.part.partition][b.offset] = true
	}
	return nil
}

// emitAll emits what is ready, and notes the numbers that the stage gives.
func (m *coreModel) emitAll() error {
	spans, i, before := append([]span(nil), m.ready...), 0, m.owed
	emitted := 0
	m.emit(func(n int, live bool) {
		s := spans[i]
		i++
		if n != s.n {
			panic("emit reports another number than that of the span")
		}
		if !live {
			return
		}
		for k := range n {
			m.open = append(m.open, uint64(len(m.flying)))
			m.flying = append(m.flying, modelRecord{s.part, s.offset + int64(k)})
		}
		emitted += n
	})
	if before-emitted != m.owed || m.owed < 0 || i != len(spans) {
		return fmt.Errorf("%d owed after %d of %d", m.owed, emitted, before)
	}
	return nil
}

// receipts gives receipts for a run of events near the front, some of which may
// have theirs already.
func (m *coreModel) receipts(abandon bool) error {
	if len(m.open) == 0 {
		return nil
	}
	first := m.open[m.r.IntN(min(len(m.open), 1+m.r.IntN(50)))]
	n := 1 + m.r.IntN(40)
	outcome := receipt.Outcome(m.r.IntN(3))
	if abandon {
		outcome = receipt.Abandoned
	}
	rest := m.open[:0]
	for _, seq := range m.open {
		if seq < first || seq >= first+uint64(n) {
			rest = append(rest, seq)
			continue
		}
		if f := m.flying[seq]; !abandon {
			m.done[f.part.partition][f.offset] = true
		}
	}
	m.open = rest
	m.order(m.receive(first, n, outcome))
	return nil
}

func (m *coreModel) order(do orders) {
	if do.settled {
		m.settled = true
	}
}

// commitAll commits as the committer does.
func (m *coreModel) commitAll(refuse bool) {
	heads, refused := m.uncommitted(), map[topicPartition]bool{}
	for _, h := range heads {
		if refuse {
			refused[h.part.topicPartition] = true
		} else {
			m.stored[h.part.partition] = h.offset
		}
	}
	m.order(m.commit(heads, refused))
}

// check compares the core with the account.
func (m *coreModel) check() error {
	flying := map[*partition]int{}
	for _, seq := range m.open {
		flying[m.flying[seq].part]++
	}
	for p, offset := range m.stored {
		for o := range offset {
			if !m.done[p][o] && !gap(o) {
				return fmt.Errorf("%d:%d is committed, and %d is not finished", p, offset, o)
			}
		}
	}
	for key, part := range m.parts {
		n := 0
		for _, run := range part.queue.runs {
			n += len(run.records)
		}
		if n != part.queue.n || n > 0 && part.phase != reading {
			return fmt.Errorf("%v has %d records queued, %d are counted", key, n, part.queue.n)
		}
		if flying[part] != part.inFlight {
			return fmt.Errorf("%v has %d in flight, want %d", key, part.inFlight, flying[part])
		}
		if !m.owned[key] || m.isPaused(part) != m.paused[key] {
			return fmt.Errorf("%v: owned %v, paused %v %v", key, m.owned[key], m.isPaused(part), m.paused[key])
		}
		if part.window() > m.core.window || part.uncommitted() < 0 {
			return fmt.Errorf("%v has %d records from the first uncommitted one, %d of them finished", key, part.window(), part.uncommitted())
		}
		if part.phase == leaving && m.settled != (part.inFlight == 0) {
			return fmt.Errorf("%v has %d in flight; settled %v", key, part.inFlight, m.settled)
		}
	}
	if m.flights.window() > 0 && m.flights.marks.open != len(m.open) {
		return fmt.Errorf("%d events have no receipt, want %d", m.flights.marks.open, len(m.open))
	}
	return nil
}

func (f *flights) window() int { return int(f.next - f.base) }

// gap reports whether there is no record with that offset, as in a compacted topic.
func gap(offset int64) bool { return offset*7%31 < 2 }

// finish gives all receipts and polls on: nothing may be left over.
func (m *coreModel) finish() error {
	for k := range m.owned {
		if m.parts[k].phase == leaving {
			m.leave(k)
			m.revoking = false
		}
	}
	for round := range 50 {
		m.dry = round > 40
		for len(m.open) > 0 {
			n := int(m.open[len(m.open)-1]-m.open[0]) + 1
			first := m.open[0]
			for _, seq := range m.open {
				m.done[m.flying[seq].part.partition][m.flying[seq].offset] = true
			}
			m.open = nil
			m.order(m.receive(first, n, receipt.Done))
		}
		m.demand(10)
		if err := m.poll(); err != nil {
			return err
		}
		if err := m.emitAll(); err != nil {
			return err
		}
		m.commitAll(false)
	}
	for key := range m.owned {
		if part := m.parts[key]; part.phase != reading || m.paused[key] {
			return fmt.Errorf("%v is stuck: %+v, paused %v", key, part, m.paused[key])
		}
	}
	return m.check()
}
