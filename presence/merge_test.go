package presence_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
)

func TestChangesMadeWhileADiffIsToldAreMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, d, goOn := held(t)
		for n := 2; n <= 4; n++ {
			track(t, tr, t.Context(), "room", fmt.Sprint(n), nil)
		}
		tr.Untrack(t.Context(), "room", "3") // came and went
		tr.Untrack(t.Context(), "room", "1") // was told, or is being
		close(goOn)
		synctest.Wait()
		is(t, d.take(), `presence_diff{joins:{1:{[{}]}},leaves:{}} presence_diff{joins:{2:{[{}]},4:{[{}]}},leaves:{1:{[{}]}}}`)
	})
}

func TestDiffPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, d := watched(t, presence.Config{DiffPeriod: 50 * time.Millisecond})
		d.of = nil // take does not wait for the period
		for n := range 3 {
			track(t, tr, t.Context(), "room", fmt.Sprint(n), meta{"v": 0})
			pass(10 * time.Millisecond)
		}
		for v := 1; v <= 3; v++ {
			if _, err := tr.Update(t.Context(), "room", "0", meta{"v": v}); err != nil {
				t.Error(err)
			}
		}
		tr.Untrack(t.Context(), "room", "1")
		pass(20*time.Millisecond - 1)
		is(t, d.take(), ``)
		pass(1)
		synctest.Wait()
		is(t, d.take(), `presence_diff{joins:{0:{[{v:3}]},2:{[{v:0}]}},leaves:{}}`)
		for v := 4; v <= 5; v++ {
			if _, err := tr.Update(t.Context(), "room", "0", meta{"v": v}); err != nil {
				t.Error(err)
			}
		}
		pass(time.Second)
		is(t, d.take(), `presence_diff{joins:{0:{[{v:5}]}},leaves:{0:{[{v:3}]}}}`)
		track(t, tr, t.Context(), "room", "brief", nil)
		tr.Untrack(t.Context(), "room", "brief")
		pass(time.Second)
		is(t, d.take(), ``)
	})
}

// mirror is what phoenix.js makes of the diffs: joins first, then leaves, by the
// refs of the metas.
type mirror struct {
	mu    sync.Mutex
	refs  map[string]string // key by ref
	diffs int
	t     *testing.T
}

func (m *mirror) Deliver(msg *pubsub.Message) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.diffs++
	var diff presence.Diff
	if err := msg.Payload.Decode(&diff); err != nil {
		m.t.Error(err)
	}
	each := func(s presence.State, f func(key, ref string)) {
		for key, p := range s {
			for _, meta := range p.Metas {
				var r struct{ Phx_ref string }
				if err := json.Unmarshal(meta, &r); err != nil {
					m.t.Error(err)
				}
				f(key, r.Phx_ref)
			}
		}
	}
	each(diff.Joins, func(key, ref string) { m.refs[ref] = key })
	each(diff.Leaves, func(key, ref string) { delete(m.refs, ref) })
	return true
}

// TestMergedDiffsAddUp makes random changes from several goroutines: whoever
// applies the diffs in their order has the list in the end.
func TestMergedDiffsAddUp(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, period := range []time.Duration{0, time.Millisecond} {
		hub, err := pubsub.New(pubsub.Config{})
		if err != nil {
			t.Fatal(err)
		}
		m := &mirror{t: t, refs: map[string]string{}}
		if _, err := hub.Subscribe("room", m); err != nil {
			t.Fatal(err)
		}
		tr := newTracker(t, presence.Config{Hub: hub, DiffPeriod: period})
		var group sync.WaitGroup
		for g := range 4 {
			r := rand.New(rand.NewPCG(seed, uint64(g)))
			group.Go(func() {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				for range 300 {
					key := fmt.Sprint(r.IntN(5))
					switch r.IntN(3) { // errors: it is there already, or not
					case 0:
						_, _ = tr.Track(ctx, "room", key, nil)
					case 1:
						_, _ = tr.Update(ctx, "room", key, nil)
					case 2:
						tr.Untrack(ctx, "room", key)
					}
				}
				if g%2 == 0 {
					tr.UntrackAll(ctx)
				} else { // those of the others stay
					_, _ = tr.Track(context.Background(), "room", fmt.Sprint("stays", g), nil)
				}
			})
		}
		group.Wait()
		want := func() map[string]string {
			list := map[string]string{}
			for key, p := range tr.List("room") {
				for _, meta := range p.Metas {
					var r struct{ Phx_ref string }
					if err := json.Unmarshal(meta, &r); err != nil {
						t.Error(err)
					}
					list[r.Phx_ref] = key
				}
			}
			return list
		}
		equal := func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return reflect.DeepEqual(m.refs, want()) && len(m.refs) == 2
		}
		for deadline := time.Now().Add(time.Minute); !equal(); {
			if time.Now().After(deadline) {
				t.Fatalf("period %v: the diffs add up to %v, the list is %v", period, m.refs, want())
			}
			wait := time.NewTimer(time.Millisecond)
			<-wait.C
		}
		t.Logf("period %v: %d diffs", period, m.diffs)
	}
}
