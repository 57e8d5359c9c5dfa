package presence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
)

// browser is a client with the class Presence of phoenix.js: what it gets is queued
// and read at a rate. Its fields belong to its goroutine.
type browser struct {
	queue   chan queued
	largest int
	synced  bool
	waiting []presence.Diff
	refs    map[string]string // key by ref
	frames  map[string]int
	done    chan struct{}
}

type queued struct {
	event   string
	data    []byte
	written func(time.Time, error)
}

func openBrowser(pause func()) *browser {
	b := &browser{queue: make(chan queued, 10_000), refs: map[string]string{}, frames: map[string]int{}, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		for q := range b.queue {
			pause()
			b.read(q)
			if q.written != nil {
				q.written(time.Now(), nil)
			}
		}
	}()
	return b
}

func (b *browser) Deliver(m *pubsub.Message) bool {
	b.queue <- queued{m.Event, m.Payload.Data, nil}
	return true
}

func (b *browser) push(event string, payload any, written func(time.Time, error)) error {
	p, err := pubsub.Encode(payload)
	b.queue <- queued{event, p.Data, written}
	return err
}

func (b *browser) read(q queued) {
	b.frames[q.event]++
	b.largest = max(b.largest, len(q.data))
	if q.event == "presence_state" {
		var s presence.State
		if err := json.Unmarshal(q.data, &s); err != nil {
			panic(err)
		}
		b.synced = true
		b.apply(presence.Diff{Joins: s})
		for _, d := range b.waiting {
			b.apply(d)
		}
		return
	}
	var d presence.Diff
	if err := json.Unmarshal(q.data, &d); err != nil {
		panic(err)
	}
	if !b.synced {
		b.waiting = append(b.waiting, d)
	} else {
		b.apply(d)
	}
}

func (b *browser) apply(d presence.Diff) {
	for ref, key := range refsOf(d.Joins) {
		b.refs[ref] = key
	}
	for ref := range refsOf(d.Leaves) {
		delete(b.refs, ref)
	}
}

func refsOf(s presence.State) map[string]string {
	refs := map[string]string{}
	for key, p := range s {
		for _, m := range p.Metas {
			var r struct{ Phx_ref string }
			if err := json.Unmarshal(m, &r); err != nil {
				panic(err)
			}
			refs[r.Phx_ref] = key
		}
	}
	return refs
}

// TestStatesInParts has clients ask for the state of a room of 3,000 that changes
// all the time, and read it slowly: each has the list in the end, no frame is large,
// and only one part waits at a time.
func TestStatesInParts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, period := range []time.Duration{0, 50 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, uint64(period)))
			hub, err := pubsub.New(pubsub.Config{})
			if err != nil {
				t.Fatal(err)
			}
			tr := newTracker(t, presence.Config{Hub: hub, DiffPeriod: period})
			ctx, cancel := owner(t)
			pad := strings.Repeat("x", 100)
			for n := range 3000 {
				track(t, tr, ctx, "room", fmt.Sprint(n), meta{"pad": pad})
			}
			settle(t, tr)
			browsers := make([]*browser, 5)
			ended := make(chan error, len(browsers))
			for i := range browsers {
				rate := time.Duration(1+i*5) * time.Millisecond
				b := openBrowser(func() { time.Sleep(rate) })
				browsers[i] = b
				if _, err := hub.Subscribe("room", b); err != nil {
					t.Fatal(err)
				}
				go func() { ended <- tr.PushState(t.Context(), "room", b.push) }()
			}
			for range 300 {
				key := fmt.Sprint(r.IntN(3100))
				switch r.IntN(3) { // errors: it is there already, or not
				case 0:
					_, _ = tr.Track(ctx, "room", key, meta{"pad": pad})
				case 1:
					_, _ = tr.Update(ctx, "room", key, meta{"pad": pad})
				case 2:
					tr.Untrack(ctx, "room", key)
				}
				time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond)
			}
			for range browsers {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
			settle(t, tr)
			want := refsOf(tr.List("room"))
			for i, b := range browsers {
				close(b.queue)
				<-b.done
				if !reflect.DeepEqual(b.refs, want) {
					t.Errorf("browser %d knows %d presences, want %d", i, len(b.refs), len(want))
				}
				if b.frames["presence_state"] != 1 || b.largest > 100<<10 {
					t.Errorf("browser %d got %v, the largest of %d bytes", i, b.frames, b.largest)
				}
			}
			browsers = nil
			tr.UntrackAll(context.Background())
			hub.Stop() // the browsers are closed
			cancel()
			synctest.Wait()
			settle(t, tr)
		})
	}
}

// TestAHerdOfStates pins that clients which ask at the same time share what is
// encoded for them.
func TestAHerdOfStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _ := watched(t, presence.Config{DiffPeriod: time.Millisecond})
		track(t, tr, t.Context(), "room", "1", nil)
		shared := map[*byte]int{}
		ended := make(chan error, 100)
		for range 100 {
			go func() {
				ended <- tr.PushState(t.Context(), "room", func(event string, payload any, _ func(time.Time, error)) error {
					shared[&payload.(pubsub.Payload).Data[0]]++ // calls follow each other
					return nil
				})
			}()
		}
		for range 100 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if len(shared) != 1 {
			t.Errorf("encoded %d times", len(shared))
		}
	})
}

// TestStatesEnd pins how PushState ends: with the error of push, of the client's
// writer, of a push that crashes, or with its context; the others get theirs.
func TestStatesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _ := watched(t, presence.Config{DiffPeriod: time.Millisecond})
		for n := range 1000 {
			track(t, tr, t.Context(), "room", fmt.Sprint(n), meta{"pad": strings.Repeat("x", 200)})
		}
		settle(t, tr)
		full := errors.New("full")
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got := map[string]string{}
		type end struct {
			name string
			err  error
		}
		ended := make(chan end, 10)
		for name, push := range map[string]presence.Push{
			"push":    func(string, any, func(time.Time, error)) error { return full },
			"writer":  func(_ string, _ any, w func(time.Time, error)) error { w(time.Time{}, full); return nil },
			"panic":   func(string, any, func(time.Time, error)) error { panic("in push") },
			"Goexit":  func(string, any, func(time.Time, error)) error { runtime.Goexit(); return nil },
			"context": func(string, any, func(time.Time, error)) error { return nil }, // never written
			"good": func(_ string, _ any, w func(time.Time, error)) error {
				if w != nil {
					w(time.Now(), nil)
				}
				return nil
			},
		} {
			go func() { ended <- end{name, tr.PushState(short, "room", push)} }()
		}
		for range 6 {
			e := <-ended
			got[e.name] = fmt.Sprint(e.err)
		}
		want := map[string]string{"push": "full", "writer": "full", "panic": "presence: push has crashed", "Goexit": "presence: push has crashed",
			"context": "context deadline exceeded", "good": "<nil>"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if err := tr.PushState(t.Context(), "room", nil); err == nil {
			t.Error("a nil push was taken")
		}
	})
}

// TestSettleWhileAStateIsDue pins that Settle returns although the round that is due has
// only parts of states, and no diff.
func TestSettleWhileAStateIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _ := watched(t, presence.Config{DiffPeriod: time.Second})
		track(t, tr, t.Context(), "room", "1", nil)
		settle(t, tr)
		ended := make(chan error, 1)
		go func() {
			ended <- tr.PushState(t.Context(), "room", func(string, any, func(time.Time, error)) error { return nil })
		}()
		synctest.Wait() // the round has been ordered, and begins in a second
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := tr.Settle(short); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestNoPartAfterTheEnd pins that a client gets no further part once PushState has
// returned: push has crashed here after the client had taken the part.
func TestNoPartAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _ := watched(t, presence.Config{})
		for n := range 1000 {
			track(t, tr, t.Context(), "room", fmt.Sprint(n), meta{"pad": strings.Repeat("x", 200)})
		}
		settle(t, tr)
		pushes := 0 // calls follow each other
		var written func(time.Time, error)
		err := tr.PushState(t.Context(), "room", func(_ string, _ any, w func(time.Time, error)) error {
			pushes++
			written = w
			panic("in push")
		})
		if err == nil {
			t.Error("no error")
		}
		synctest.Wait()
		written(time.Now(), nil)
		synctest.Wait()
		if pushes != 1 {
			t.Errorf("%d pushes, want 1", pushes)
		}
	})
}
