package presence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
)

type meta map[string]any

func ExampleNew() {
	hub, err := pubsub.New(pubsub.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	tracker, err := presence.New(presence.Config{Hub: hub, OnDiff: func(topic string, d presence.Diff) {
		fmt.Println(topic, len(d.Joins), "joined,", len(d.Leaves), "left")
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	tab := &struct{ context.Context }{context.Background()} // in a handler: ch.Context()
	if _, err := tracker.Track(tab, "room:a", "ann", map[string]string{"device": "phone"}); err != nil {
		fmt.Println(err)
		return
	}
	// Track does not wait for the diff; here its output is to come first.
	if err := tracker.Settle(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(tracker.Count("room:a"), len(tracker.Get("room:a", "ann")))
	tracker.UntrackAll(tab)
	if err := tracker.Settle(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// room:a 1 joined, 0 left
	// 1 1
	// room:a 0 joined, 1 left
}

func TestTrackUpdateUntrack(t *testing.T) { // P97, P98, P99, P102, P104
	synctest.Test(t, func(t *testing.T) {
		hub, err := pubsub.New(pubsub.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var d diffs
		if _, err := hub.Subscribe("room", &d); err != nil {
			t.Fatal(err)
		}
		tr := newTracker(t, presence.Config{Hub: hub})
		d.of = tr
		is(t, short(tr.List("room")), `{}`)
		phone, hangUp := owner(t)
		laptop, shut := owner(t)
		defer shut()
		ref := track(t, tr, phone, "room", "1", meta{"dev": "phone"})
		if len(ref) != 16 {
			t.Errorf("ref %q", ref)
		}
		is(t, d.take(), `presence_diff{joins:{1:{[{dev:phone}]}},leaves:{}}`)
		track(t, tr, laptop, "room", "1", nil)
		is(t, d.take(), `presence_diff{joins:{1:{[{}]}},leaves:{}}`)
		is(t, short(tr.List("room")), `{1:{[{dev:phone},{}]}}`)
		is(t, short(tr.Get("room", "1")), `[{dev:phone},{}]`)
		is(t, short(tr.Get("room", "2")), `[]`)
		is(t, short(tr.Get("other", "1")), `[]`)
		if _, err := tr.Track(phone, "room", "1", nil); !errors.Is(err, presence.ErrAlreadyTracked) {
			t.Errorf("twice: %v", err)
		}
		track(t, tr, phone, "room", "other", nil)
		track(t, tr, phone, "elsewhere", "1", nil)
		d.take()
		second, err := tr.Update(phone, "room", "1", meta{"dev": "tablet"})
		if err != nil || second == ref {
			t.Error(second, err)
		}
		is(t, d.take(), `presence_diff{joins:{1:{[{dev:tablet}]}},leaves:{1:{[{dev:phone}]}}}`)
		var refs struct{ Phx_ref, Phx_ref_prev string }
		if err := json.Unmarshal(tr.Get("room", "1")[1], &refs); err != nil || refs.Phx_ref != second || refs.Phx_ref_prev != ref {
			t.Errorf("%+v %v", refs, err)
		}
		if _, err := tr.UpdateFunc(phone, "room", "1", func(m json.RawMessage) any {
			is(t, string(m), `{"dev":"tablet"}`)
			return meta{"dev": "watch"}
		}); err != nil {
			t.Error(err)
		}
		if _, err := tr.Update(laptop, "nowhere", "1", nil); !errors.Is(err, presence.ErrNotTracked) {
			t.Errorf("%v", err)
		}
		for _, bad := range []any{5, []int{1}, make(chan int)} {
			if _, err := tr.Track(laptop, "room", "bad", bad); err == nil {
				t.Errorf("%v was tracked", bad)
			}
		}
		d.take()
		tr.Untrack(laptop, "room", "nobody")
		tr.Untrack(context.Background(), "room", "1")
		is(t, d.take(), ``)
		tr.Untrack(laptop, "room", "1")
		is(t, d.take(), `presence_diff{joins:{},leaves:{1:{[{}]}}}`)
		hangUp() // the death of the owner
		synctest.Wait()
		if got := d.take(); !strings.Contains(got, `1:{[{dev:watch}]}`) || !strings.Contains(got, `other:{[{}]}`) || !strings.Contains(got, "joins:{}") {
			t.Errorf("got %s", got)
		}
		is(t, short(tr.List("room")), `{}`)
		is(t, short(tr.List("elsewhere")), `{}`)
		track(t, tr, phone, "room", "late", nil) // its owner is gone
		if tr.Count("room") != 0 {
			t.Error("the dead are tracked")
		}
	})
}

func TestFetchAndOnDiff(t *testing.T) { // P100, P101, P105, P106
	synctest.Test(t, func(t *testing.T) {
		var got []string
		var tr *presence.Tracker
		ctx, cancel := owner(t)
		defer cancel()
		tr = newTracker(t, presence.Config{
			Silent: true,
			Fetch: func(_ context.Context, topic string, keys []string) (map[string]map[string]any, error) {
				_ = tr.Count(topic) // no lock is held
				return map[string]map[string]any{"1": {"name": "Ann"}}, nil
			},
			OnDiff: func(topic string, d presence.Diff) {
				got = append(got, topic+short(d))
				if len(got) == 1 {
					// A change made here is told afterwards.
					if _, err := tr.Track(ctx, "room", "2", nil); err != nil {
						t.Error(err)
					}
				}
				if len(got) == 2 {
					panic("in a callback")
				}
			},
		})
		track(t, tr, ctx, "room", "1", nil)
		synctest.Wait()
		is(t, strings.Join(got, " "), `room{joins:{1:{[{}],name:Ann}},leaves:{}} room{joins:{2:{[{}]}},leaves:{}}`)
		is(t, short(tr.List("room")), `{1:{[{}],name:Ann},2:{[{}]}}`)
		tr.UntrackAll(ctx)
		synctest.Wait()
		if len(got) != 3 {
			t.Error("a panic ended the telling")
		}
	})
}

func TestConfig(t *testing.T) { // P118
	hub, err := pubsub.New(pubsub.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var bad *presence.OptionError
	for _, c := range []presence.Config{{}, {Hub: hub, BroadcastPeriod: -1}, {Hub: hub, DiffPeriod: -1}, {Hub: hub, HeartbeatPeriod: time.Second},
		{Hub: hub, DownPeriod: time.Second}, {Hub: hub, DownPeriod: time.Hour, PermDownPeriod: time.Hour}, {Hub: hub, PermDownPeriod: -1}} {
		if _, err := presence.New(c); !errors.As(err, &bad) || bad.Error() == "" {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
