package stage_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// squad is a pool of goroutines inside a producer-consumer: each event is worked on in one of
// its own, which asks for the next one when it has finished.
type squad struct {
	self    *stage.Handle
	workers sync.WaitGroup

	mu       sync.Mutex // guards what follows
	finished []task
	open     int
}

func (*squad) HandleEvents(context.Context, []int, *stage.Emitter[int]) error { return nil }

func (s *squad) HandleStart(_ context.Context, self *stage.Handle) error { s.self = self; return nil }

func (s *squad) HandleDelivery(_ context.Context, d stage.Delivery[int], emit *stage.Emitter[int]) error {
	s.mu.Lock()
	s.open += len(d.Events)
	s.mu.Unlock()
	for i, v := range d.Events {
		one := task{v, emit.Hold(i)}
		s.workers.Go(func() {
			s.mu.Lock()
			s.finished = append(s.finished, one)
			s.mu.Unlock()
			s.self.Wake()
			_ = d.Subscription.Ask(1)
		})
	}
	return nil
}

func (s *squad) HandleWake(_ context.Context, emit *stage.Emitter[int]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.finished {
		emit.For(one.held)
		emit.Emit(one.event)
	}
	s.open -= len(s.finished)
	s.finished = s.finished[:0]
	return nil
}

func (s *squad) HandleBusy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open > 0
}

func (s *squad) HandleTerminate(context.Context, error) error { s.workers.Wait(); return nil }

// Events that goroutines work on all arrive, from any number of producers, with receipts and
// without, and the pipeline ends by itself.
func TestGoroutinesInATransform(t *testing.T) {
	const n = 5000
	for _, receipts := range []bool{false, true} {
		for _, sources := range []int{1, 3} {
			dst, h := newSink(), &squad{}
			m, c := between(h, stage.ProducerConfig[int]{}), consumer(dst, "C")
			stages, acks := []stage.Stage{m, c}, make([]*acking, sources)
			for i := range sources {
				acks[i] = &acking{source{counting: true, next: i * n, limit: (i + 1) * n}}
				var from stage.Producer[int] = &acks[i].source
				if receipts {
					from = acks[i]
				}
				p := producer(from, stage.ProducerConfig[int]{Name: string(rune('P' + i))})
				subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 8 + i})
				stages = append(stages, p)
			}
			subscribe(t, c, m, stage.SubscribeConfig{MaxDemand: 50})
			if err := stage.Run(t.Context(), stages...); err != nil {
				t.Fatal(err)
			}
			got := dst.events()
			slices.Sort(got)
			equal(t, "events", slices.Equal(got, upTo(0, sources*n)), true)
			for _, a := range acks {
				done := 0
				for _, r := range a.receipts {
					if r.Outcome == receipt.Done {
						done += r.Count
					}
				}
				if want := n; receipts && done != want {
					t.Fatalf("%d receipts, want %d", done, want)
				}
			}
		}
	}
}
