package presence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
)

// named is a Fetch that returns a name for each key after it has called f.
func named(f func(ctx context.Context, topic string)) func(context.Context, string, []string) (map[string]map[string]any, error) {
	return func(ctx context.Context, topic string, keys []string) (map[string]map[string]any, error) {
		f(ctx, topic)
		extra := map[string]map[string]any{}
		for _, key := range keys {
			extra[key] = map[string]any{"name": "n" + key}
		}
		return extra, nil
	}
}

// TestTrackWaitsForNothing pins that Track returns at once while Fetch, a
// subscriber or OnDiff takes its time, one user after another and in a herd.
func TestTrackWaitsForNothing(t *testing.T) {
	takes := func() { time.Sleep(20 * time.Millisecond) }
	for _, c := range []struct {
		name string
		cfg  presence.Config
		sub  func()
	}{
		{"Fetch", presence.Config{Fetch: named(func(context.Context, string) { takes() })}, func() {}},
		{"subscriber", presence.Config{}, takes},
		{"OnDiff", presence.Config{OnDiff: func(string, presence.Diff) { takes() }}, func() {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub, err := pubsub.New(pubsub.Config{})
				if err != nil {
					t.Fatal(err)
				}
				for _, topic := range []string{"0", "1", "2", "3"} {
					if _, err := hub.Subscribe(topic, pubsub.SubscriberFunc(func(*pubsub.Message) bool { c.sub(); return true })); err != nil {
						t.Fatal(err)
					}
				}
				c.cfg.Hub = hub
				tr := newTracker(t, c.cfg)
				ctx, cancel := owner(t)
				var group sync.WaitGroup
				for n := range 500 {
					group.Go(func() {
						begin := time.Now()
						track(t, tr, ctx, fmt.Sprint(n%4), fmt.Sprint(n), nil)
						if d := time.Since(begin); d > 0 {
							t.Errorf("Track took %v", d)
						}
					})
					time.Sleep(time.Millisecond)
				}
				group.Wait()
				cancel()
				synctest.Wait() // all leave
				settle(t, tr)
			})
		})
	}
}

// TestFetchThatFails pins that clients get each diff without the fields of a Fetch
// that fails, hangs, panics or ends its goroutine, in time, and that it is counted.
func TestFetchThatFails(t *testing.T) {
	for name, fetch := range map[string]func(ctx context.Context) error{
		"error":  func(context.Context) error { return errors.New("no database") },
		"panic":  func(context.Context) error { panic("in Fetch") },
		"Goexit": func(context.Context) error { runtime.Goexit(); return nil },
		"hangs":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var good atomic.Bool
				tr, d := watched(t, presence.Config{FetchTimeout: time.Second, Fetch: func(ctx context.Context, _ string, keys []string) (map[string]map[string]any, error) {
					if !good.Load() {
						if err := fetch(ctx); err != nil {
							return nil, err
						}
					}
					return map[string]map[string]any{keys[0]: {"name": "Ann"}}, nil
				}})
				begin := time.Now()
				track(t, tr, t.Context(), "room", "1", nil)
				is(t, d.take(), `presence_diff{joins:{1:{[{}]}},leaves:{}}`)
				is(t, short(tr.List("room")), `{1:{[{}]}}`)
				if took := time.Since(begin); took > 2*time.Second {
					t.Errorf("the diff and the list took %v", took)
				}
				if s := tr.Snapshot(); s.Unfetched != 2 || s.Diffs != 1 {
					t.Errorf("%+v, want 2 unfetched", s)
				}
				good.Store(true)
				track(t, tr, t.Context(), "room", "2", nil)
				is(t, d.take(), `presence_diff{joins:{2:{[{}],name:Ann}},leaves:{}}`)
			})
		})
	}
}

// TestFetchThatNeverReturns pins that a Fetch which ignores its context holds a
// bounded number of goroutines, delays each diff by its timeout at the most, and is
// called again when it has returned.
func TestFetchThatNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		goOn := make(chan struct{})
		tr, d := watched(t, presence.Config{FetchTimeout: time.Second, Fetch: named(func(context.Context, string) {
			calls.Add(1)
			<-goOn
		})})
		for n := range 40 {
			track(t, tr, t.Context(), "room", fmt.Sprint(n), nil)
			settle(t, tr)
		}
		if got := strings.Count(d.take(), "presence_diff"); got != 40 || calls.Load() != 16 {
			t.Errorf("%d diffs, %d calls of Fetch, want 40 and 16", got, calls.Load())
		}
		close(goOn)
		synctest.Wait()
		track(t, tr, t.Context(), "room", "last", nil)
		is(t, d.take(), `presence_diff{joins:{last:{[{}],name:nlast}},leaves:{}}`)
	})
}

// TestASlowFetchOfManyTopics pins that the topics of one round are fetched several
// at once, and told in their order.
func TestASlowFetchOfManyTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		tr, _ := watched(t, presence.Config{
			DiffPeriod: time.Millisecond,
			Fetch:      named(func(context.Context, string) { time.Sleep(100 * time.Millisecond) }),
			OnDiff:     func(topic string, _ presence.Diff) { told = append(told, topic) },
		})
		ctx, cancel := owner(t)
		want := []string{}
		for n := range 80 {
			want = append(want, fmt.Sprint(n))
			track(t, tr, ctx, want[n], "1", nil)
		}
		begin := time.Now()
		settle(t, tr)
		if took := time.Since(begin); took > 1100*time.Millisecond {
			t.Errorf("80 topics took %v, want 1 s", took)
		}
		is(t, fmt.Sprint(told), fmt.Sprint(want))
		cancel()
		synctest.Wait()
		settle(t, tr)
	})
}

// unfit is a field whose encoding panics.
type unfit struct{}

func (unfit) MarshalJSON() ([]byte, error) { panic("in MarshalJSON") }

// TestFieldsThatCannotBeEncoded pins that clients get each diff and each state without
// the fields of Fetch that have no encoding, and with the others.
func TestFieldsThatCannotBeEncoded(t *testing.T) {
	for name, field := range map[string]any{
		"error": make(chan int), "panic": unfit{}, "not UTF-8": json.RawMessage("\"\xff\""),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr, d := watched(t, presence.Config{Fetch: func(_ context.Context, _ string, keys []string) (map[string]map[string]any, error) {
					return map[string]map[string]any{keys[0]: {"name": "Ann", "raw": []byte("not JSON"), "bad": field, "metas": 5}}, nil
				}})
				track(t, tr, t.Context(), "room", "1", nil)
				is(t, d.take(), `presence_diff{joins:{1:{[{}],name:Ann,raw:bm90IEpTT04=}},leaves:{}}`)
				err := tr.PushState(t.Context(), "room", func(_ string, payload any, _ func(time.Time, error)) error {
					is(t, short(payload.(pubsub.Payload)), `{1:{[{}],name:Ann,raw:bm90IEpTT04=}}`)
					return nil
				})
				if s := tr.Snapshot(); err != nil || s.Unfetched != 2 || s.Diffs != 1 || s.DiffsFailed != 0 || s.Crashed != 0 {
					t.Errorf("error %v, %+v, want 2 unfetched", err, s)
				}
			})
		})
	}
}

// TestCallbacksThatEndTheirGoroutine pins that diffs go on after an OnDiff or a
// subscriber that calls runtime.Goexit or panics, also in the middle of a round.
func TestCallbacksThatEndTheirGoroutine(t *testing.T) {
	for name, end := range map[string]func(){"Goexit": runtime.Goexit, "panic": func() { panic("in a callback") }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []string
				tr, d := watched(t, presence.Config{DiffPeriod: time.Millisecond, OnDiff: func(topic string, _ presence.Diff) {
					told = append(told, topic)
					if topic == "first" || topic == "last" {
						end()
					}
				}})
				ctx, cancel := owner(t)
				defer cancel()
				for _, topic := range []string{"first", "room", "last"} {
					track(t, tr, ctx, topic, "1", nil)
				}
				is(t, d.take(), `presence_diff{joins:{1:{[{}]}},leaves:{}}`)
				track(t, tr, ctx, "room", "2", nil)
				settle(t, tr)
				is(t, fmt.Sprint(told), `[first room last room]`)
				if s := tr.Snapshot(); s.Crashed != 2 {
					t.Errorf("%+v, want 2 crashed", s)
				}
			})
		})
	}
}
