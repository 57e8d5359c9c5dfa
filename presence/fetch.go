package presence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/penstock-go/penstock/internal/crash"
)

const (
	// fetchAhead bounds the calls of Fetch that one round makes at once.
	fetchAhead = 8
	// maxOverdue bounds the calls of Fetch that go on after their timeout. They hold
	// a goroutine each, which only Fetch itself can end.
	maxOverdue = 16
)

// errOverdue is the error of a Fetch that is not called.
var errOverdue = errors.New("presence: too many calls of Fetch have not returned")

// fetched is a call of Fetch that goes on or is over.
type fetched struct {
	cancel context.CancelFunc
	until  <-chan struct{} // closed when the time is over
	result chan fetchResult
	phase  atomic.Int32
}

// The phases of a call of Fetch. It is late from the end of its time until it
// returns.
const (
	fetching = iota
	late
	done
)

// fetchResult is how a call of Fetch ended.
type fetchResult struct {
	extra map[string]map[string]any
	err   error
}

// beginFetch calls Fetch in a goroutine of its own, with the keys of all states,
// which is one query for a diff. It returns nil if there is nothing to fetch.
func (t *Tracker) beginFetch(topic string, states ...State) *fetched {
	keys := keysOf(states)
	if t.cfg.Fetch == nil || len(keys) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.cfg.FetchTimeout)
	f := &fetched{cancel: cancel, until: ctx.Done(), result: make(chan fetchResult, 1)}
	// Calls that begin at the same time may exceed the bound by a few.
	if t.overdue.Load() >= maxOverdue {
		f.phase.Store(done) // so that endFetch waits for no other result
		f.result <- fetchResult{err: errOverdue}
		return f
	}
	go t.callFetch(ctx, f, topic, keys)
	return f
}

// callFetch is the goroutine of one call of Fetch.
func (t *Tracker) callFetch(ctx context.Context, f *fetched, topic string, keys []string) {
	end := fetchResult{err: crash.ErrGoexit} // unless Fetch returns or panics
	defer func() {
		if v := recover(); v != nil {
			end.err = crash.Of(v)
		}
		if !f.phase.CompareAndSwap(fetching, done) {
			t.overdue.Add(-1) // nothing waits for it any more
		}
		f.result <- end // never blocks: there is one result, and room for it
	}()
	extra, err := t.cfg.Fetch(ctx, topic, keys)
	end = fetchResult{extra, err}
}

// endFetch waits for a call of Fetch and adds its fields to the states.
func (t *Tracker) endFetch(f *fetched, topic string, states ...State) {
	if f == nil {
		return
	}
	defer f.cancel()
	var r fetchResult
	select {
	case r = <-f.result:
	case <-f.until:
		// A result that came in the same moment counts.
		if f.phase.CompareAndSwap(fetching, late) {
			t.overdue.Add(1)
			r.err = fmt.Errorf("presence: Fetch has not returned after %v", t.cfg.FetchTimeout)
		} else {
			r = <-f.result
		}
	}
	if r.err != nil {
		t.unfetched(topic, r.err)
		return
	}
	for _, s := range states {
		for key, p := range s {
			p.Extra = r.extra[key]
			s[key] = p
		}
	}
}

// unfetched counts and logs that clients are told without the fields of Fetch.
func (t *Tracker) unfetched(topic string, err error) {
	t.counters.unfetched.Add(1)
	t.logs.fetch.Log(t.logger, slog.LevelError, "presence without the fields of Fetch", "tracker", t.cfg.Name, "topic", topic, "error", err, "stack", crash.StackOf(err))
}

// keysOf returns the keys of states, sorted, each once.
func keysOf(states []State) []string {
	var keys []string
	for _, s := range states {
		for key := range s {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
