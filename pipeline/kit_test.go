package pipeline_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// feed is a source of events that a test pushes, with their receipts.
type feed struct {
	mu       sync.Mutex
	self     *stage.Handle
	queue    []int
	emitted  []int
	demand   int
	drained  bool
	outcomes map[int]receipt.Outcome
	fail     error
}

func newFeed(events ...int) *feed {
	return &feed{queue: events, outcomes: make(map[int]receipt.Outcome)}
}

func (f *feed) HandleStart(_ context.Context, self *stage.Handle) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.self = self
	return nil
}

func (f *feed) push(events ...int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, events...)
	f.wake()
}

func (f *feed) die(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
	f.wake()
}

func (f *feed) wake() {
	if f.self != nil {
		f.self.Wake()
	}
}

func (f *feed) HandleDemand(ctx context.Context, n int, emit *stage.Emitter[int]) error {
	f.mu.Lock()
	f.demand += n
	f.mu.Unlock()
	return f.HandleWake(ctx, emit)
}

func (f *feed) HandleWake(_ context.Context, emit *stage.Emitter[int]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	n := min(f.demand, len(f.queue))
	emit.EmitAll(f.queue[:n])
	f.emitted = append(f.emitted, f.queue[:n]...)
	f.queue, f.demand = f.queue[n:], f.demand-n
	if f.drained && len(f.queue) == 0 {
		return stage.ErrDone
	}
	return nil
}

func (f *feed) HandleDrain(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drained = true
	if len(f.queue) == 0 {
		return stage.ErrDone
	}
	return nil
}

func (f *feed) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range receipts {
		for seq := range r.Seqs() {
			f.outcomes[f.emitted[seq]] = r.Outcome
		}
	}
	return nil
}

// ends returns the outcomes of the events with numbers.
func (f *feed) ends() map[int]receipt.Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := make(map[int]receipt.Outcome, len(f.outcomes))
	for k, v := range f.outcomes {
		m[k] = v
	}
	return m
}

// allDone fails the test unless the events 0 to n-1 are done.
func (f *feed) allDone(t *testing.T, n int) {
	t.Helper()
	bad, first, ends := 0, -1, f.ends()
	for i := range n {
		if got, ok := ends[i]; !ok || got != receipt.Done {
			if bad++; first < 0 {
				first = i
			}
		}
	}
	if bad > 0 || len(ends) != n {
		t.Errorf("%d receipts, want %d; %d are not done, the first of event %d: %v", len(ends), n, bad, first, ends[first])
	}
}

// list is a sink that keeps what it gets.
type list struct {
	mu  sync.Mutex
	got []int
}

func (l *list) add(_ context.Context, v int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, v)
	return nil
}

func (l *list) all() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

// has fails the test unless the list is the numbers 0 to n-1, in any order, each once or
// more often.
func (l *list) has(t *testing.T, n int) {
	t.Helper()
	got := l.all()
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, upTo(n)) {
		t.Errorf("got %d numbers %v..., want 0 to %d", len(got), got[:min(len(got), 10)], n-1)
	}
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// pool returns a factory of a pool that calls f.
func pool(f func(ctx context.Context, v int) error) func() (stage.Consumer[int], error) {
	return func() (stage.Consumer[int], error) {
		return consumer.NewSupervisor(f, consumer.SupervisorConfig[int]{Logger: quiet})
	}
}

// started runs p in the background and returns what Run returns.
func started(t *testing.T, p *pipeline.Pipeline) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- p.Run(context.Background()) }()
	return done
}
