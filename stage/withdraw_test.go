package stage_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// lender is a source that emits the numbers from 0 on, and may ask them back.
type lender struct {
	self  *stage.Handle
	most  int // of the events
	next  int
	ends  map[uint64]receipt.Outcome
	wrong []string
}

func (l *lender) HandleStart(_ context.Context, self *stage.Handle) error {
	l.self = self
	return nil
}

func (l *lender) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	for ; n > 0 && l.next < l.most; n-- {
		emit.Emit(l.next)
		l.next++
	}
	return nil
}

func (l *lender) HandleDrain(context.Context) error { return stage.ErrDone }

func (l *lender) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	for _, r := range receipts {
		for seq := range r.Seqs() {
			if o, twice := l.ends[seq]; twice {
				l.wrong = append(l.wrong, fmt.Sprintf("%d ended as %v and %v", seq, o, r.Outcome))
			}
			l.ends[seq] = r.Outcome
		}
	}
	return nil
}

// started notes which events the last stages have begun, and how often.
type started struct {
	mu sync.Mutex
	of map[int]int
}

func (s *started) note(events ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		s.of[e]++
	}
}

// What a source asks back ends as withdrawn if nothing of it was started, and otherwise as
// usual: in chains of stages and dispatchers, at random moments, each event has one end,
// and none that was withdrawn was handled.
func TestWithdrawModel(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 40
	}
	var withdrawn, done int
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			w, d := withdrawRun(t, seed)
			withdrawn, done = withdrawn+w, done+d
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d withdrawn, %d done", withdrawn, done)
	if withdrawn == 0 || done == 0 {
		t.Error("the model shows nothing")
	}
}

func withdrawRun(t *testing.T, seed uint64) (withdrawn, done int) {
	r := rand.New(rand.NewPCG(seed, 17))
	src := &lender{most: 50 + r.IntN(400), ends: map[uint64]receipt.Outcome{}}
	begun := &started{of: map[int]int{}}
	// parts[e] is how many events are made of event e; 1 unless there is a FlatMap.
	parts := func(int) int { return 1 }
	disp := func() dispatcher.Dispatcher[int] {
		switch r.IntN(3) {
		case 0:
			return nil
		case 1:
			return stage.Must(fair.New(func(e int) int { return e % 7 }, fair.Config[int]{MaxEvents: 20 + r.IntN(200)}))
		}
		return stage.Must(dispatcher.NewPartition(1, func(int) (int, bool) { return 0, true }, dispatcher.PartitionConfig{}))
	}
	var stages []stage.Stage
	cfg := stage.ProducerConfig[int]{Name: "source", Dispatcher: disp()}
	source := stage.Must(stage.NewProducer(src, cfg))
	stages = append(stages, source)
	var out stage.Output[int] = source
	on := func(d dispatcher.Dispatcher[int]) stage.SubscribeConfig {
		s := stage.SubscribeConfig{MaxDemand: 1 + r.IntN(40)}
		if _, ok := d.(*dispatcher.Partition[int]); ok {
			s.Partition = 0
		}
		return s
	}
	last := cfg.Dispatcher
	for i := range r.IntN(3) {
		c := stage.ProducerConfig[int]{Name: fmt.Sprint("middle", i), Dispatcher: disp()}
		var h stage.ProducerConsumer[int, int]
		switch kind := r.IntN(4); {
		case kind == 0:
			h = stage.MapFunc[int, int](func(_ context.Context, e int) (int, error) { return e, nil })
		case kind == 1 && i == 0:
			parts = func(e int) int { return e % 3 }
			h = stage.FlatMapFunc[int, int](func(_ context.Context, e int, emit func(int)) error {
				for range e % 3 {
					emit(e)
				}
				return nil
			})
		case kind == 2:
			// All that it emits belongs to all of its call.
			h = stage.ProducerConsumerFunc[int, int](func(_ context.Context, events []int, emit *stage.Emitter[int]) error {
				emit.EmitAll(events)
				return nil
			})
		default:
			pause := time.Duration(r.IntN(5)) * time.Millisecond
			h = stage.MapFunc[int, int](func(_ context.Context, e int) (int, error) {
				time.Sleep(pause)
				return e, nil
			})
		}
		middle := stage.Must(stage.NewProducerConsumer(h, c))
		if _, err := middle.Subscribe(out, on(last)); err != nil {
			t.Fatal(err)
		}
		stages, out, last = append(stages, middle), middle, c.Dispatcher
	}
	ends := 1
	if last == nil {
		ends = 1 + r.IntN(2)
	}
	for i := range ends {
		var c stage.Consumer[int]
		pause := time.Duration(r.IntN(8)) * time.Millisecond
		if r.IntN(2) == 0 {
			c = stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
				begun.note(events...)
				time.Sleep(pause)
				return nil
			})
		} else {
			c = &lazy{begun: begun, pause: pause}
		}
		end := stage.Must(stage.NewConsumer(c, stage.ConsumerConfig{Name: fmt.Sprint("end", i)}))
		if _, err := end.Subscribe(out, on(last)); err != nil {
			t.Fatal(err)
		}
		stages = append(stages, end)
	}
	p := stage.Must(stage.NewPipeline(stage.PipelineConfig{DrainTimeout: time.Hour}, stages...))
	over := make(chan error, 1)
	go func() { over <- p.Run(context.Background()) }()
	for range 1 + r.IntN(6) {
		time.Sleep(time.Duration(r.IntN(30)) * time.Millisecond)
		if r.IntN(2) == 0 {
			synctest.Wait()
		}
		var ask []stage.Span
		for range 1 + r.IntN(8) {
			ask = append(ask, stage.Span{First: uint64(r.IntN(src.most)), Count: r.IntN(40)})
		}
		if r.IntN(4) == 0 {
			ask = []stage.Span{{First: 0, Count: src.most}}
		}
		source.Do(func() { src.self.Withdraw(ask...) })
	}
	time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
	p.Drain()
	if err := <-over; err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	for _, w := range src.wrong {
		t.Error(w)
	}
	for e := range src.next {
		o, ok := src.ends[uint64(e)]
		switch {
		case !ok:
			t.Errorf("seed %d: %d has no end", seed, e)
		case o == receipt.Withdrawn:
			withdrawn++
			if begun.of[e] > 0 {
				t.Errorf("seed %d: %d was withdrawn, and begun %d times", seed, e, begun.of[e])
			}
		case o == receipt.Done:
			done++
			if n := begun.of[e]; n != parts(e) {
				t.Errorf("seed %d: %d is done, and was begun %d times of %d", seed, e, n, parts(e))
			}
		default:
			t.Errorf("seed %d: %d ended as %v", seed, e, o)
		}
	}
	for _, s := range p.Snapshot(context.Background()).Stages {
		lost := int64(0)
		for _, n := range s.Discarded {
			lost += n
		}
		if s.Emitted != s.Delivered+int64(s.Buffered)+s.Withdrawn+lost || lost > 0 || s.Abandoned > 0 {
			t.Errorf("seed %d: %+v", seed, s)
		}
	}
	return withdrawn, done
}

// lazy is a consumer that keeps its events and handles one after the other, on a goroutine
// of its own.
type lazy struct {
	begun *started
	pause time.Duration

	mu      sync.Mutex
	sub     *stage.Subscription[int]
	events  []int
	at      []uint64
	running bool
	closed  sync.WaitGroup
}

func (l *lazy) HandleEvents(context.Context, []int) error { return nil }

func (l *lazy) HandleDelivery(_ context.Context, d stage.Delivery[int]) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sub = d.Subscription
	for i, e := range d.Events {
		l.events, l.at = append(l.events, e), append(l.at, d.First+uint64(i))
	}
	if !l.running {
		l.running = true
		l.closed.Go(l.work)
	}
	return nil
}

func (l *lazy) work() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.events) > 0 {
		e, at, sub := l.events[0], l.at[0], l.sub
		l.events, l.at = l.events[1:], l.at[1:]
		l.mu.Unlock()
		l.begun.note(e)
		time.Sleep(l.pause)
		sub.Settle(1, stage.Finished{Position: at})
		l.mu.Lock()
	}
	l.running = false
}

func (l *lazy) HandleWithdraw(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := 0; i < len(l.events); i++ {
		if at := l.at[i]; l.sub.Withdrawn(at) {
			l.events, l.at = slices.Delete(l.events, i, i+1), slices.Delete(l.at, i, i+1)
			i--
			l.sub.Settle(1, stage.Finished{Position: at, Err: stage.ErrWithdrawn})
		}
	}
	return nil
}

func (l *lazy) HandleTerminate(context.Context, error) error {
	l.closed.Wait()
	return nil
}
