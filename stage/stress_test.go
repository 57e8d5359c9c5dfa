package stage_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// crasher counts what it handles and crashes now and then, before a chunk.
type crasher struct {
	rng  *rand.Rand
	odds int
	seen *[]atomic.Int32
	died *[]atomic.Int32 // how often it crashed over an event
}

func (c *crasher) HandleEvents(_ context.Context, events []int) error {
	if c.odds > 0 && c.rng.IntN(c.odds) == 0 {
		for _, v := range events {
			(*c.died)[v].Add(1)
		}
		return errOops
	}
	for _, v := range events {
		(*c.seen)[v].Add(1)
	}
	return nil
}

// Consumers come, crash and are replaced while a source runs, in parallel and
// without a bubble: with Redeliver each event is handled exactly once, unless two
// consumers have crashed over it. Then its source hears that it was abandoned.
func TestStressCrashesLoseNothing(t *testing.T) {
	const events = 20_000
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	for seed := range uint64(rounds) {
		for name, d := range map[string]func() dispatcher.Dispatcher[int]{
			"demand": func() dispatcher.Dispatcher[int] { return dispatcher.NewDemand[int]() },
			"partition": func() dispatcher.Dispatcher[int] {
				return stage.Must(dispatcher.NewPartition(4, func(v int) (int, bool) { return v % 4, true }, dispatcher.PartitionConfig{Capacity: 100}))
			},
		} {
			seen, died := make([]atomic.Int32, events), make([]atomic.Int32, events)
			src := &acking{source: source{counting: true, limit: events}}
			p := producer(src, stage.ProducerConfig[int]{Dispatcher: d(), BufferSize: stage.Unlimited})
			if err := p.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for partition := range 4 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(seed, uint64(partition)))
					for life := 0; ; life++ {
						odds := 20
						if life > 50 {
							odds = 0 // has crashed enough
						}
						c := stage.Must(stage.NewConsumer(&crasher{rng: rng, odds: odds, seen: &seen, died: &died}, stage.ConsumerConfig{Name: fmt.Sprint(partition, ".", life)}))
						cfg := stage.SubscribeConfig{MaxDemand: 1 + rng.IntN(50), Redeliver: true}
						if name == "partition" {
							cfg.Partition = partition
						}
						if _, err := c.Subscribe(p, cfg); err != nil {
							t.Error(err)
							return
						}
						if err := c.Start(context.Background()); err != nil {
							t.Error(err)
							return
						}
						if <-c.Stopped(); c.Err() == nil {
							return // otherwise it has crashed, or its place was still taken
						}
					}
				})
			}
			wg.Wait()
			<-p.Stopped()
			for v := range seen {
				n, crashes := seen[v].Load(), died[v].Load()
				if crashes > 2 || n != 1 && !(n == 0 && crashes == 2) {
					t.Fatalf("%s, seed %d: event %d was handled %d times and crashed over %d times", name, seed, v, n, crashes)
				}
			}
			heard := map[uint64]int{}
			for _, r := range src.receipts {
				for seq := range r.Seqs() {
					heard[seq]++
					if done := r.Outcome == receipt.Done; done != (seen[seq].Load() == 1) {
						t.Fatalf("%s, seed %d: event %d ended as %v", name, seed, seq, r.Outcome)
					}
				}
			}
			for seq, n := range heard {
				if n != 1 || len(heard) != events {
					t.Fatalf("%s, seed %d: %d receipts for event %d, %d events have one", name, seed, n, seq, len(heard))
				}
			}
		}
	}
}

// Subscribers of a broadcast come and go: each sees an unbroken run of events.
func TestStressBroadcastHasNoGaps(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	for seed := range uint64(rounds) {
		p := producer(&source{counting: true}, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		if err := p.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				for range 10 {
					enough := 1 + rng.IntN(500)
					var got []int
					c := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
						if got = append(got, events...); len(got) >= enough {
							return stage.ErrDone
						}
						return nil
					}), stage.ConsumerConfig{}))
					if _, err := c.Subscribe(p, stage.SubscribeConfig{MaxDemand: 1 + rng.IntN(20)}); err != nil {
						t.Error(err)
					}
					if err := c.Start(context.Background()); err != nil {
						t.Error(err)
					}
					<-c.Stopped()
					if !slices.Equal(got, upTo(got[0], got[0]+len(got))) {
						t.Errorf("seed %d: gaps in %v", seed, got)
					}
				}
			})
		}
		wg.Wait()
		p.Stop(nil)
		<-p.Stopped()
	}
}
