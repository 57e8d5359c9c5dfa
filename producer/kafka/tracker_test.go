package kafka

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func filled(from, to int64) *tracker {
	t := &tracker{}
	for o := from; o <= to; o++ {
		t.add(o, 0)
	}
	return t
}

func upTo(from, to int64) []int64 {
	var all []int64
	for o := from; o <= to; o++ {
		all = append(all, o)
	}
	return all
}

func TestTrackerGapsAndEpochs(t *testing.T) {
	tr := &tracker{}
	for _, r := range []struct {
		offset int64
		epoch  int32
	}{{5, 1}, {6, 1}, {1 << 40, 1}, {1<<40 + 1, 2}, {1<<40 + 7, 2}} {
		if !tr.add(r.offset, r.epoch) {
			t.Fatalf("add(%d) returns false", r.offset)
		}
	}
	if len(tr.bits) > 4 || tr.runs.Len() != 4 {
		t.Errorf("%d words of bits and %d runs", len(tr.bits), tr.runs.Len())
	}
	for _, c := range []struct {
		finish, head int64
		epoch        int32
	}{
		{1 << 40, 5, -1}, {5, 6, 1}, {6, 1<<40 + 1, 1}, {7, 1<<40 + 1, 1}, {1<<40 + 7, 1<<40 + 1, 1}, {1<<40 + 1, 1<<40 + 8, 2},
	} {
		tr.finishRun(c.finish, 1)
		if tr.head != c.head || tr.headEpoch != c.epoch {
			t.Errorf("after %d: head %d of epoch %d, want %d of %d", c.finish, tr.head, tr.headEpoch, c.head, c.epoch)
		}
	}
	if tr.runs.Len() != 0 {
		t.Errorf("%d runs are left", tr.runs.Len())
	}
	// A gap after a drained tracker does not exist, so it may be committed.
	tr.add(1<<41, 2)
	if tr.head != 1<<41 {
		t.Errorf("head is %d", tr.head)
	}
}

func TestTrackerRefusesOffsetsThatGoBack(t *testing.T) {
	tr := filled(10, 12)
	for _, o := range []int64{12, 11, 0, -1} {
		if tr.add(o, 0) {
			t.Errorf("add(%d) after 12 returns true", o)
		}
	}
	if tr.window() != 3 {
		t.Errorf("window is %d", tr.window())
	}
}

// model is the tracker by brute force.
type model struct {
	order    []int64
	finished map[int64]bool
}

func (m *model) head() int64 {
	for _, o := range m.order {
		if !m.finished[o] {
			return o
		}
	}
	return m.order[len(m.order)-1] + 1
}

func TestTrackerModel(t *testing.T) {
	for seed := range uint64(10_000) {
		if err := trackerRun(rand.New(rand.NewPCG(seed, 1))); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func trackerRun(r *rand.Rand) error {
	tr, m := &tracker{}, &model{finished: map[int64]bool{}}
	offset := r.Int64N(100)
	var open []int64
	committed := int64(-1)
	for range 20 + r.IntN(300) {
		switch {
		case r.IntN(2) == 0 || len(m.order) == 0:
			if r.IntN(8) == 0 {
				offset += 1 + r.Int64N(200)
			}
			if !tr.add(offset, int32(r.IntN(2)*len(m.order)/50)) {
				return fmt.Errorf("add(%d) returns false", offset)
			}
			m.order = append(m.order, offset)
			open = append(open, offset)
			offset++
		case r.IntN(4) == 0: // a run that has gaps and finished records
			o, n := max(0, offset-1-r.Int64N(300)), 1+r.IntN(200)
			want := 0
			open = slices.DeleteFunc(open, func(v int64) bool {
				in := v >= o && v < o+int64(n)
				if in {
					want++
					m.finished[v] = true
				}
				return in
			})
			if got := tr.finishRun(o, n); got != want {
				return fmt.Errorf("finishRun(%d, %d) returns %d, want %d", o, n, got, want)
			}
		case r.IntN(10) == 0: // something that is not open
			o := r.Int64N(offset + 10)
			if want := slices.Contains(open, o); !want && tr.finishRun(o, 1) != 0 {
				return fmt.Errorf("finishRun(%d, 1) does not return 0", o)
			}
		case len(open) > 0:
			i := r.IntN(min(len(open), 1+r.IntN(40)))
			o := open[i]
			open = slices.Delete(open, i, i+1)
			m.finished[o] = true
			if tr.finishRun(o, 1) != 1 {
				return fmt.Errorf("finishRun(%d, 1) does not return 1", o)
			}
		}
		want := m.head()
		if tr.head != want || tr.open != len(open) {
			return fmt.Errorf("head is %d and %d open, want %d and %d", tr.head, tr.open, want, len(open))
		}
		if len(open) > 0 && tr.head > slices.Min(open) {
			return fmt.Errorf("head %d is above an unfinished record", tr.head)
		}
		if tr.head < committed {
			return fmt.Errorf("head went back from %d to %d", committed, tr.head)
		}
		committed = tr.head
		if bound := max(256, 2*(tr.window()+64)); len(tr.bits)*64 > 4*bound {
			return fmt.Errorf("%d bits for a window of %d", len(tr.bits)*64, tr.window())
		}
	}
	return nil
}

func FuzzTracker(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		if err := trackerRun(rand.New(rand.NewPCG(a, b))); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkTracker(b *testing.B) {
	tr := &tracker{}
	b.ReportAllocs()
	for o := int64(0); b.Loop(); o++ {
		tr.add(o, 0)
		if o%64 == 63 { // a batch that is finished backwards
			for i := range int64(64) {
				tr.finishRun(o-i, 1)
			}
		}
	}
}
