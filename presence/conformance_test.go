package presence_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
)

// TestConformance holds the cases of presences and trackers, by the numbers of
// docs/conformance-channels.md.
func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"P97_list", conformList},
		{"P98_get_by_key", conformGet},
		{"P99_track_and_death", conformDeath},
		{"P100_fetch", conformFetch},
		{"P101_own_way_of_telling", conformSilent},
		{"P102_untrack", conformUntrack},
		{"P104_already_tracked", conformTwice},
		{"P105_server_side_client", conformClient},
		{"P106_fetch_outside_of_locks_diffs_in_order", conformOrder},
		{"P107_P108_P110_P111_P114_nodes", TestNodesShareTheirPresences},
		{"P112_P113_forgotten", TestForgottenAfterPermDown},
		{"P116_untrack_one_topic_or_all", conformUntrackAll},
		{"P118_periods", TestConfig},
		{"P120_copies_converge", TestCopiesConverge},
	} {
		t.Run(c.name, c.run)
	}
}

// watched is a tracker whose diffs on topic room are gathered.
func watched(t *testing.T, c presence.Config) (*presence.Tracker, *diffs) {
	t.Helper()
	var err error
	if c.Hub, err = pubsub.New(pubsub.Config{}); err != nil {
		t.Fatal(err)
	}
	d := &diffs{}
	if _, err := c.Hub.Subscribe("room", d); err != nil {
		t.Fatal(err)
	}
	d.of = newTracker(t, c)
	return d.of, d
}

// settle waits until the diffs of earlier changes have been broadcast.
func settle(t *testing.T, tr *presence.Tracker) {
	t.Helper()
	if err := tr.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func conformList(t *testing.T) {
	tr, _ := watched(t, presence.Config{Fetch: func(context.Context, string, []string) (map[string]map[string]any, error) {
		return map[string]map[string]any{"7": {"name": "Ann"}}, nil
	}})
	is(t, short(tr.List("room")), `{}`)
	track(t, tr, t.Context(), "room", fmt.Sprint(7), meta{"dev": "tv"}) // keys are strings
	is(t, short(tr.List("room")), `{7:{[{dev:tv}],name:Ann}}`)
	is(t, short(tr.List("other")), `{}`)
}

func conformGet(t *testing.T) {
	tr, _ := watched(t, presence.Config{})
	other, cancel := owner(t)
	defer cancel()
	track(t, tr, t.Context(), "room", "1", meta{"dev": "tv"})
	track(t, tr, other, "room", "1", meta{"dev": "phone"})
	is(t, short(tr.Get("room", "1")), `[{dev:tv},{dev:phone}]`)
	is(t, short(tr.Get("room", "2")), `[]`)
	is(t, short(tr.Get("other", "1")), `[]`)
}

func conformDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refs []string
		tr, d := watched(t, presence.Config{OnDiff: func(_ string, diff presence.Diff) {
			for _, side := range []presence.State{diff.Joins, diff.Leaves} {
				for _, m := range side["1"].Metas {
					refs = append(refs, string(m))
				}
			}
		}})
		ctx, die := owner(t)
		track(t, tr, ctx, "room", "1", meta{"dev": "tv"})
		is(t, d.take(), `presence_diff{joins:{1:{[{dev:tv}]}},leaves:{}}`)
		die()
		synctest.Wait()
		is(t, d.take(), `presence_diff{joins:{},leaves:{1:{[{dev:tv}]}}}`)
		is(t, short(tr.List("room")), `{}`)
		if len(refs) != 2 || refs[0] != refs[1] {
			t.Errorf("the metas differ, refs included: %v", refs)
		}
	})
}

func conformFetch(t *testing.T) {
	tr, d := watched(t, presence.Config{Fetch: func(_ context.Context, topic string, keys []string) (map[string]map[string]any, error) {
		return map[string]map[string]any{keys[0]: {"from": topic}}, nil
	}})
	track(t, tr, t.Context(), "room", "1", nil)
	is(t, d.take(), `presence_diff{joins:{1:{from:room,[{}]}},leaves:{}}`)
	is(t, short(tr.List("room")), `{1:{from:room,[{}]}}`)
}

func conformSilent(t *testing.T) {
	var told []string
	tr, d := watched(t, presence.Config{Silent: true, OnDiff: func(topic string, diff presence.Diff) {
		told = append(told, topic+short(diff))
	}})
	track(t, tr, t.Context(), "room", "1", nil)
	is(t, d.take(), ``)
	settle(t, tr)
	is(t, fmt.Sprint(told), `[room{joins:{1:{[{}]}},leaves:{}}]`)
}

func conformUntrack(t *testing.T) {
	tr, d := watched(t, presence.Config{})
	track(t, tr, t.Context(), "room", "1", nil)
	d.take()
	tr.Untrack(context.Background(), "room", "1") // another owner
	tr.Untrack(t.Context(), "room", "2")
	is(t, d.take(), ``)
	tr.Untrack(t.Context(), "room", "1")
	is(t, d.take(), `presence_diff{joins:{},leaves:{1:{[{}]}}}`)
	tr.Untrack(t.Context(), "room", "1")
	is(t, d.take(), ``)
}

func conformTwice(t *testing.T) {
	tr, _ := watched(t, presence.Config{})
	track(t, tr, t.Context(), "room", "1", nil)
	if _, err := tr.Track(t.Context(), "room", "1", nil); !errors.Is(err, presence.ErrAlreadyTracked) {
		t.Error(err)
	}
	track(t, tr, t.Context(), "room", "2", nil)
	track(t, tr, t.Context(), "other", "1", nil)
}

// conformClient keeps a list of its own from the diffs alone.
func conformClient(t *testing.T) {
	mine := map[string]map[string]int{} // metas by topic and key
	tr, _ := watched(t, presence.Config{OnDiff: func(topic string, diff presence.Diff) {
		keys := mine[topic]
		if keys == nil {
			keys = map[string]int{}
			mine[topic] = keys
		}
		for key, p := range diff.Joins {
			keys[key] += len(p.Metas)
		}
		for key, p := range diff.Leaves {
			if keys[key] -= len(p.Metas); keys[key] == 0 {
				delete(keys, key)
			}
		}
		if len(keys) == 0 {
			delete(mine, topic)
		}
	}})
	a, endA := owner(t)
	defer endA()
	b, endB := owner(t)
	defer endB()
	track(t, tr, a, "room", "1", nil)
	track(t, tr, b, "room", "1", nil)
	track(t, tr, b, "room", "2", nil)
	track(t, tr, b, "other", "1", nil)
	settle(t, tr)
	is(t, fmt.Sprint(mine), `map[other:map[1:1] room:map[1:2 2:1]]`)
	tr.UntrackAll(b)
	settle(t, tr)
	is(t, fmt.Sprint(mine), `map[room:map[1:1]]`)
	tr.UntrackAll(a)
	settle(t, tr)
	is(t, fmt.Sprint(mine), `map[]`)
}

// held is a tracker whose first diff is being told until goOn is closed.
func held(t *testing.T) (tr *presence.Tracker, d *diffs, goOn chan struct{}) {
	t.Helper()
	fetching, first := make(chan struct{}), true // calls for diffs follow each other
	goOn = make(chan struct{})
	tr, d = watched(t, presence.Config{Fetch: func(context.Context, string, []string) (map[string]map[string]any, error) {
		if first {
			first = false
			close(fetching)
			<-goOn
		}
		return nil, nil
	}})
	d.of = nil // take does not wait
	track(t, tr, t.Context(), "room", "1", nil)
	<-fetching
	return tr, d, goOn
}

func conformOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, d, goOn := held(t)
		track(t, tr, t.Context(), "room", "2", nil) // no lock is held, and it does not wait
		if n := tr.Count("room"); n != 2 {
			t.Errorf("%d are present", n)
		}
		is(t, d.take(), ``)
		close(goOn)
		synctest.Wait()
		is(t, d.take(), `presence_diff{joins:{1:{[{}]}},leaves:{}} presence_diff{joins:{2:{[{}]}},leaves:{}}`)
	})
}

func conformUntrackAll(t *testing.T) {
	tr, _ := watched(t, presence.Config{})
	for _, topic := range []string{"a", "b", "c"} {
		track(t, tr, t.Context(), topic, "1", nil)
	}
	tr.Untrack(t.Context(), "a", "1")
	is(t, fmt.Sprint(tr.Count("a"), tr.Count("b"), tr.Count("c")), "0 1 1")
	tr.UntrackAll(t.Context())
	is(t, fmt.Sprint(tr.Count("a"), tr.Count("b"), tr.Count("c")), "0 0 0")
}
