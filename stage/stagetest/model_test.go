package stagetest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/stage/stagetest"
)

var errOops = errors.New("oops")

// scripted is a producer-consumer that uses its emitter as its random numbers say, now
// and then wrongly. It emits the numbers of its events.
type scripted struct {
	rnd  *rand.Rand
	next int
	held []stage.Held
	emit *stage.Emitter[int]
}

func (s *scripted) HandleEmitter(emit *stage.Emitter[int]) { s.emit = emit }

func (s *scripted) HandleEvents(_ context.Context, events []int, emit *stage.Emitter[int]) error {
	input := 0
	for range s.rnd.IntN(8) {
		switch s.rnd.IntN(8) {
		case 7:
			emit.FromEach(s.rnd.IntN(len(events)))
			for range s.rnd.IntN(3) {
				emit.Emit(s.next)
				s.next++
			}
		case 0, 1:
			emit.Emit(s.next)
			s.next++
		case 2:
			input += s.rnd.IntN(2)
			emit.From(min(input, len(events)-1))
		case 3:
			if s.rnd.IntN(10) == 0 {
				emit.From(len(events) + s.rnd.IntN(2))
			} else {
				emit.From(s.rnd.IntN(len(events)))
			}
		case 4:
			s.held = append(s.held, emit.Hold(s.rnd.IntN(len(events))))
		case 5:
			emit.Fail(s.rnd.IntN(len(events)), errOops)
		case 6:
			s.release()
		}
	}
	return nil
}

// release emits for held inputs, or finishes them.
func (s *scripted) release() {
	n := s.rnd.IntN(len(s.held) + 1)
	if s.rnd.IntN(3) == 0 {
		s.emit.Finish(errOops, s.held[:n]...)
	} else {
		s.emit.For(s.held[:n]...)
		for range s.rnd.IntN(3) {
			s.emit.Emit(s.next)
			s.next++
		}
	}
	s.held = s.held[n:]
}

func (s *scripted) HandleFlush(context.Context) error {
	for len(s.held) > 0 {
		s.release()
	}
	return nil
}

// outcomes are the ends of inputs by number, and the error of the stage without what
// names the handler, in which it may be found in a later one.
type outcomes struct {
	of  map[int]receipt.Outcome
	err string
}

func (o outcomes) String() string { return fmt.Sprint(o.of, o.err) }

// chunks are the sizes of what arrives together.
func chunks(rnd *rand.Rand) []int {
	sizes := make([]int, 1+rnd.IntN(6))
	for i := range sizes {
		sizes[i] = 1 + rnd.IntN(4)
	}
	return sizes
}

// verdict is the receipt of an emitted event.
func verdict(event int) error {
	switch event % 5 {
	case 3:
		return errOops
	case 4:
		return stage.Discard(receipt.Expired)
	}
	return nil
}

// inKit runs the script with the kit.
func inKit(t *testing.T, sizes []int, s stage.ProducerConsumer[int, int]) outcomes {
	k, err := stagetest.NewProducerConsumer(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	o := outcomes{of: make(map[int]receipt.Outcome)}
	take := func(r stagetest.Result[int], err error) bool {
		for _, e := range r.Ended {
			o.of[e.Input] = e.Outcome
		}
		if err != nil {
			o.err = errors.Unwrap(err).Error()
			return false
		}
		for _, e := range r.Emitted {
			rec := stage.Receipt{First: uint64(e.Event), Count: 1}
			switch e.Event % 5 {
			case 3:
				rec.Outcome = receipt.Failed
			case 4:
				rec.Outcome, rec.Reason = receipt.Discarded, receipt.Expired
			}
			more, err := k.Receipts(rec)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range more.Ended {
				o.of[e.Input] = e.Outcome
			}
		}
		return true
	}
	n := 0
	for _, size := range sizes {
		events := make([]int, size)
		for i := range events {
			events[i] = n + i
		}
		n += size
		if !take(k.Events(events...)) {
			break
		}
	}
	if o.err == "" {
		take(k.Flush())
	}
	if err := k.Stop(nil); err != nil {
		t.Fatal(err)
	}
	return o
}

// settling is a consumer that gives each event the receipt that verdict says.
type settling struct{}

func (settling) HandleEvents(context.Context, []int) error { return nil }

func (settling) HandleDelivery(_ context.Context, d stage.Delivery[int]) error {
	for i, event := range d.Events {
		d.Subscription.Settle(0, stage.Finished{Position: d.First + uint64(i), Err: verdict(event)})
	}
	return nil
}

// inStage runs the script in a stage of a whole pipeline.
func inStage(t *testing.T, sizes []int, s stage.ProducerConsumer[int, int]) outcomes {
	o := outcomes{of: make(map[int]receipt.Outcome)}
	n := 0
	source := stage.Must(stage.NewProducer(&stage.ProducerHandlers[int]{
		Demand: func(context.Context, int, *stage.Emitter[int]) error { return nil },
		Wake: func(_ context.Context, emit *stage.Emitter[int]) error {
			if len(sizes) == 0 {
				return stage.ErrDone
			}
			for range sizes[0] {
				emit.Emit(n)
				n++
			}
			sizes = sizes[1:]
			return nil
		},
		Receipts: func(_ context.Context, receipts []stage.Receipt) error {
			for _, r := range receipts {
				for seq := range r.Seqs() {
					if r.Outcome != receipt.Abandoned {
						o.of[int(seq)] = r.Outcome
					}
				}
			}
			return nil
		},
		Handlers: stage.Handlers{Start: func(_ context.Context, self *stage.Handle) error {
			go func() {
				for range len(sizes) + 1 {
					synctest.Wait()
					self.Wake()
				}
			}()
			return nil
		}},
	}, stage.ProducerConfig[int]{Logger: slog.New(slog.DiscardHandler)}))
	mid := stage.Must(stage.NewProducerConsumer(s, stage.ProducerConsumerConfig[int]{Name: "test", Logger: slog.New(slog.DiscardHandler)}))
	sink := stage.Must(stage.NewConsumer[int](settling{}, stage.ConsumerConfig{Logger: slog.New(slog.DiscardHandler)}))
	must(t)(mid.Subscribe(source, stage.SubscribeConfig{}))
	must(t)(sink.Subscribe(mid, stage.SubscribeConfig{}))
	// A DeliveryHandler asks itself.
	if err := stage.Run(t.Context(), source, mid, sink); err != nil {
		var refused *stage.OptionError
		if !errors.As(mid.Err(), &refused) {
			t.Fatal(err)
		}
		o.err = refused.Error()
	}
	return o
}

func must(t *testing.T) func(s *stage.Subscription[int], err error) {
	return func(_ *stage.Subscription[int], err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A handler's inputs end as they would in a stage, whatever it says of them, and what
// stops a stage is the same error.
func TestInputsEndAsInAStage(t *testing.T) {
	seed := rand.Uint64()
	refused := 0
	for run := range 500 {
		script := func() *scripted { return &scripted{rnd: rand.New(rand.NewPCG(seed, uint64(run)))} }
		sizes := chunks(rand.New(rand.NewPCG(seed+1, uint64(run))))
		kit := inKit(t, sizes, script())
		var real outcomes
		synctest.Test(t, func(t *testing.T) { real = inStage(t, slices.Clone(sizes), script()) })
		if kit.err != "" {
			refused++
			if kit.err != real.err {
				t.Fatalf("seed %d, run %d: error %q, in a stage %q", seed, run, kit.err, real.err)
			}
			continue // a stage gives no receipts once it has failed
		}
		if kit.String() != real.String() {
			t.Fatalf("seed %d, run %d:\n%v, in a stage\n%v", seed, run, kit, real)
		}
	}
	if refused == 0 || refused == 500 {
		t.Errorf("%d runs of 500 were refused", refused)
	}
}

// An input that is named again after held ones has one receipt, when all of its events
// have one. Event 3 fails.
func TestInputNamedAgainAfterHeldOnes(t *testing.T) {
	twice := stage.ProducerConsumerFunc[int, int](func(_ context.Context, _ []int, emit *stage.Emitter[int]) error {
		emit.From(0)
		emit.Emit(0)
		emit.For()
		emit.EmitAll([]int{1, 2})
		emit.From(0)
		emit.Emit(3)
		return nil
	})
	synctest.Test(t, func(t *testing.T) {
		if got := inStage(t, []int{1}, twice); got.of[0] != receipt.Failed {
			t.Errorf("in a stage: %v", got)
		}
	})
	if got := inKit(t, []int{1}, twice); got.of[0] != receipt.Failed {
		t.Errorf("in the kit: %v", got)
	}
}
