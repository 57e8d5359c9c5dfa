package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// randomStep is a step with a random config, and a function that does what can go wrong.
type randomStep struct {
	cfg      StepConfig[int]
	box      *letterBox
	stop     time.Duration // when it is stopped; 0 for never
	controls bool

	mu     sync.Mutex
	rnd    *rand.Rand
	limit  int // workers at once, at most
	busy   int
	ofKey  map[string]int
	newest map[string]int
	done   map[int]int // successful attempts
	tries  map[int]int
	wrong  error
}

func newRandomStep(rnd *rand.Rand) *randomStep {
	r := &randomStep{
		rnd: rnd, box: &letterBox{after: time.Duration(rnd.IntN(1000)) * time.Millisecond},
		ofKey: map[string]int{}, newest: map[string]int{}, done: map[int]int{}, tries: map[int]int{},
		controls: rnd.IntN(2) == 0,
	}
	c := &r.cfg
	c.Workers, c.Window, c.MaxHeld = 1+rnd.IntN(4), 5+rnd.IntN(100), 1+rnd.IntN(100)
	c.Retry = retry.Policy{MaxAttempts: 1 + rnd.IntN(3), Backoff: time.Duration(1 + rnd.IntN(int(100*time.Millisecond)))}
	switch rnd.IntN(3) {
	case 0:
		c.Unordered = true
	case 1:
		c.Key = func(v int) string { return strconv.Itoa(v % 7) }
		if rnd.IntN(3) == 0 {
			c.KeyRate = Rate{PerSecond: float64(10 + rnd.IntN(1000))}
		}
	}
	if rnd.IntN(4) == 0 {
		c.Rate = Rate{PerSecond: float64(100 + rnd.IntN(5000)), Burst: 1 + rnd.IntN(50)}
	}
	if rnd.IntN(4) == 0 {
		c.Timeout = 500 * time.Millisecond
	}
	if rnd.IntN(3) == 0 {
		r.stop = time.Duration(rnd.IntN(int(time.Second)))
	}
	r.limit = c.Workers
	if r.controls {
		r.limit = 6
	}
	return r
}

// event is the function of the step.
func (r *randomStep) event(ctx context.Context, v int) (int, error) {
	key := strconv.Itoa(v % 7)
	r.mu.Lock()
	r.tries[v]++
	r.busy++
	r.ofKey[key]++
	if r.busy > r.limit {
		r.wrong = fmt.Errorf("%d at once, of %d", r.busy, r.limit)
	}
	if r.cfg.Key != nil && (r.ofKey[key] > 1 || r.newest[key] > v) {
		r.wrong = fmt.Errorf("event %d of key %s beside %d others, after %d", v, key, r.ofKey[key]-1, r.newest[key])
	}
	what, long := r.rnd.IntN(200), time.Duration(r.rnd.IntN(int(20*time.Millisecond)))
	r.mu.Unlock()
	ok := false
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy--
		r.ofKey[key]--
		if ok {
			r.done[v]++
			r.newest[key] = max(r.newest[key], v)
		}
	}()
	switch {
	case what < 10:
		time.Sleep(long)
	case what < 20:
		return 0, errTest
	case what == 20:
		panic("boom")
	case what == 21 && r.cfg.Timeout > 0:
		<-ctx.Done()
		return 0, ctx.Err()
	case what == 22:
		return 0, retry.Never(errTest)
	case what == 23:
		ok = true
		return 0, stage.Discard(receipt.Unselected)
	case what == 24 && (r.cfg.Timeout > 0 || r.cfg.Key != nil):
		runtime.Goexit()
	case what == 25:
		return 0, retry.Later(errTest, long)
	}
	ok = true
	return v, nil
}

// control changes the step while it runs.
func (r *randomStep) control(step interface {
	Pause()
	Resume()
	Resize(int) error
	SetRate(Rate) error
}, ended <-chan struct{}) {
	for {
		r.mu.Lock()
		what, n, wait := r.rnd.IntN(3), 1+r.rnd.IntN(6), time.Duration(r.rnd.IntN(int(100*time.Millisecond)))
		r.mu.Unlock()
		select {
		case <-ended:
			return
		case <-time.After(wait):
		}
		var err error
		switch what {
		case 0:
			step.Pause()
			time.Sleep(wait)
			step.Resume()
		case 1:
			err = step.Resize(n)
		case 2:
			err = step.SetRate(Rate{PerSecond: float64(n-1) * 500})
		}
		if err != nil {
			r.mu.Lock()
			r.wrong = err
			r.mu.Unlock()
		}
	}
}

// Random steps of both kinds: each event ends once, in the promised order, and with a
// receipt that is true, also if the stage is stopped at any time.
func TestRandomSteps(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 20
	}
	base := rand.Uint64()
	t.Logf("seeds from %d on", base)
	for i := range seeds {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(base+i, 2))
			r := newRandomStep(rnd)
			n := 100 + rnd.IntN(1500)
			source := &numbers{n: n}
			at := testPlace(r.box)
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := make(chan struct{})
			var wg sync.WaitGroup
			from := stage.Must(stage.NewProducer(source, stage.ProducerConfig[int]{Name: "source", Logger: quiet}))
			stages := []stage.Stage{from}
			var got []int
			var s interface{ snapshot() WorkSnapshot }
			if end := rnd.IntN(2) == 0; end {
				step := newEachStep(func(ctx context.Context, v int) error { return ignore(r.event(ctx, v)) }, r.cfg.defaults(), at)
				to := stage.Must(stage.NewConsumer(step, stage.ConsumerConfig{Name: "step", Logger: quiet}))
				stage.Must(to.Subscribe(from, stage.SubscribeConfig{}))
				stages = append(stages, to)
				s = step
				if r.controls {
					wg.Go(func() { r.control(step, ended) })
				}
			} else {
				step := newMapStep(r.event, r.cfg.defaults(), at)
				via := stage.Must(stage.NewProducerConsumer(step, stage.ProducerConfig[int]{Name: "step", Logger: quiet}))
				to := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
					got = append(got, events...)
					return nil
				}), stage.ConsumerConfig{Name: "sink", Logger: quiet}))
				stage.Must(via.Subscribe(from, stage.SubscribeConfig{}))
				stage.Must(to.Subscribe(via, stage.SubscribeConfig{}))
				stages = append(stages, via, to)
				s = step
				if r.controls {
					wg.Go(func() { r.control(step, ended) })
				}
			}
			stopped := errors.New("stopped by the test")
			if r.stop > 0 {
				time.AfterFunc(r.stop, func() {
					cancel(stopped)
					for _, s := range stages {
						s.Stop(stopped)
					}
				})
			}
			err := stage.Run(ctx, stages...)
			close(ended)
			wg.Wait()
			cancel(nil)
			time.Sleep(time.Hour) // letters and timers that are late
			r.check(t, base+i, n, source, got, len(stages) == 3, err, stopped, s.snapshot())
		})
		if t.Failed() {
			return
		}
	}
}

// check compares what has come out with what has gone in.
func (r *randomStep) check(t *testing.T, seed uint64, n int, source *numbers, got []int, outputs bool, err, stopped error, s WorkSnapshot) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("seed %d: %s\n%+v, stop %v, controls %v, err %v\n%+v", seed, fmt.Sprintf(format, args...), r.cfg, r.stop, r.controls, err, s)
	}
	if r.wrong != nil {
		fail("%v", r.wrong)
	}
	if err != nil && !errors.Is(err, stopped) {
		fail("%v", err)
	}
	if source.number != len(source.ends) {
		fail("%d receipts for %d events", source.number, len(source.ends))
	}
	letters := map[string]bool{}
	for _, l := range r.box.list {
		letters[string(l.Event)] = true
	}
	for seq, end := range source.ends {
		v := int(seq)
		switch {
		case end == receipt.Done && r.done[v] != 1, end == receipt.Failed && !letters[strconv.Itoa(v)]:
			fail("event %d ended as %v: done %d times, letter %v", v, end, r.done[v], letters[strconv.Itoa(v)])
			return
		}
	}
	sorted := slices.Clone(got)
	slices.Sort(sorted)
	if len(slices.Compact(slices.Clone(sorted))) != len(got) {
		fail("an event has left twice")
	}
	if outputs && !r.cfg.Unordered && r.cfg.Key == nil && !slices.IsSorted(got) {
		fail("not in order: %v", got)
	}
	if err == nil && r.stop == 0 && (source.number != n || s.Unfinished != 0 || s.Held != 0 || s.Busy != 0) {
		fail("%d receipts for %d events", source.number, n)
	}
}
