package stage_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	pools "github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// What comes back of each queue is its end: all that is in front is handled, whatever the
// order in which events end, and nothing of the end is.
func TestWithdrawTails(t *testing.T) {
	var withdrawn, done int
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			w, d := tailsRun(t, seed)
			withdrawn, done = withdrawn+w, done+d
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if withdrawn == 0 || done == 0 {
		t.Errorf("%d withdrawn, %d done: the model shows nothing", withdrawn, done)
	}
}

func tailsRun(t *testing.T, seed uint64) (withdrawn, done int) {
	r := rand.New(rand.NewPCG(seed, 18))
	const queues = 3
	src := &lender{most: 50 + r.IntN(400), ends: map[uint64]receipt.Outcome{}}
	begun := &started{of: map[int]int{}}
	cfg := stage.ProducerConfig[int]{Name: "source"}
	if r.IntN(4) > 0 {
		cfg.Dispatcher = stage.Must(fair.New(func(e int) int { return e * e % (2 + int(seed)) }, fair.Config[int]{}))
	}
	source := stage.Must(stage.NewProducer(src, cfg))
	pause := time.Duration(1+r.IntN(5)) * time.Millisecond
	pool := stage.Must(pools.NewSupervisor(func(_ context.Context, e int) error {
		begun.note(e)
		time.Sleep(pause * time.Duration(1+e%5))
		return nil
	}, pools.SupervisorConfig[int]{MaxDemand: 1 + r.IntN(20)}))
	end := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{Name: "end"}))
	if _, err := end.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	p := stage.Must(stage.NewPipeline(stage.PipelineConfig{DrainTimeout: time.Hour}, source, end))
	over := make(chan error, 1)
	go func() { over <- p.Run(context.Background()) }()
	time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
	limit := 0
	source.Do(func() {
		limit = src.next
		lists := make([][]stage.Span, queues)
		for e := range limit {
			lists[e%queues] = append(lists[e%queues], stage.Span{First: uint64(e), Count: 1})
		}
		src.self.WithdrawTails(lists...)
	})
	time.Sleep(time.Hour)
	p.Drain()
	if err := <-over; err != nil {
		t.Error(err)
	}
	for queue := range queues {
		back := -1
		for e := queue; e < limit; e += queues {
			switch o := src.ends[uint64(e)]; {
			case o == receipt.Withdrawn && begun.of[e] == 0:
				withdrawn, back = withdrawn+1, e
			case o == receipt.Done && begun.of[e] == 1:
				if done++; back >= 0 {
					t.Error(fmt.Sprint(e, " is done, and ", back, " in front of it came back"))
				}
			default:
				t.Errorf("%d ended as %v, and was begun %d times", e, o, begun.of[e])
			}
		}
	}
	return withdrawn, done
}

// Lists of nothing, of events that have ended and of events that there are not bring nothing back.
func TestWithdrawTailsOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &lender{most: 10, ends: map[uint64]receipt.Outcome{}}
		source := stage.Must(stage.NewProducer(src, stage.ProducerConfig[int]{}))
		n := 0
		end := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
			n += len(events)
			return nil
		}), stage.ConsumerConfig{}))
		if _, err := end.Subscribe(source, stage.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		p := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, source, end))
		over := make(chan error, 1)
		go func() { over <- p.Run(context.Background()) }()
		synctest.Wait()
		source.Do(func() {
			src.self.WithdrawTails()
			src.self.WithdrawTails(nil, []stage.Span{{First: 3}}, []stage.Span{{First: 100, Count: 5}}, []stage.Span{{First: 0, Count: 10}})
		})
		synctest.Wait()
		p.Drain()
		if err := <-over; err != nil || n != 10 {
			t.Errorf("%v, %d events", err, n)
		}
	})
}
