package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

var (
	_ stage.TransformDeliveryHandler[int, int] = (*transformStep[int, int])(nil)
	_ stage.BusyHandler                        = (*transformStep[int, int])(nil)
	_ stage.DeliveryHandler[int]               = (*endStep[int])(nil)
)

// numbers is a source of the numbers below n, which notes their receipts.
type numbers struct {
	n, next int

	mu     sync.Mutex
	ends   map[uint64]receipt.Outcome
	number int
}

func (s *numbers) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	for ; n > 0 && s.next < s.n; n-- {
		emit.Emit(s.next)
		s.next++
	}
	if s.next == s.n {
		return stage.ErrDone
	}
	return nil
}

func (s *numbers) HandleReceipts(_ context.Context, list []stage.Receipt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends == nil {
		s.ends = make(map[uint64]receipt.Outcome)
	}
	for _, r := range list {
		for seq := range r.Seqs() {
			s.ends[seq] = r.Outcome
			s.number++
		}
	}
	return nil
}

// quiet is a logger for tests whose failures are meant.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// testPlace is a place in a pipeline for tests.
func testPlace(l letters) stepPlace {
	return stepPlace{pipeline: "p", stage: "step", letters: l, stopTimeout: time.Second, logger: quiet}
}

// defaults returns cfg with its defaults.
func (c StepConfig[In]) defaults() StepConfig[In] {
	c = c.within(New(Config{}))
	c.Retry = c.Retry.WithDefaults()
	return c
}

// runStep runs numbers through a step, into a slice.
func runStep(t *testing.T, ctx context.Context, source stage.Producer[int], step stage.ProducerConsumer[int, int]) ([]int, error) {
	t.Helper()
	var got []int
	err := runInto(t, ctx, source, step, stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
		got = append(got, events...)
		return nil
	}))
	return got, err
}

// runInto runs numbers through a step into a sink.
func runInto(t *testing.T, ctx context.Context, source stage.Producer[int], step stage.ProducerConsumer[int, int], sink stage.Consumer[int]) error {
	t.Helper()
	from := stage.Must(stage.NewProducer(source, stage.ProducerConfig[int]{Name: "source", Logger: quiet}))
	via := stage.Must(stage.NewProducerConsumer(step, stage.ProducerConfig[int]{Name: "step", Logger: quiet}))
	to := stage.Must(stage.NewConsumer(sink, stage.ConsumerConfig{Name: "sink", Logger: quiet}))
	for _, err := range []error{
		ignore(via.Subscribe(from, stage.SubscribeConfig{})), ignore(to.Subscribe(via, stage.SubscribeConfig{})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return stage.Run(ctx, from, via, to)
}

func ignore[T any](_ T, err error) error { return err }

func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

// A step makes one event of each, in order, with any number of workers, whether or not
// receipts are wanted.
func TestMapInOrder(t *testing.T) {
	for _, workers := range []int{1, 4} {
		for _, receipts := range []bool{false, true} {
			for _, pause := range []time.Duration{0, time.Millisecond} {
				t.Run(fmt.Sprintf("workers %d, receipts %v, pause %v", workers, receipts, pause), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						const n = 5000
						f := func(_ context.Context, v int) (int, error) {
							time.Sleep(pause * time.Duration(v%7))
							return v, nil
						}
						step := newMapStep(f, StepConfig[int]{Workers: workers}.defaults(), testPlace(nil))
						source := &numbers{n: n}
						var from stage.Producer[int] = source
						if !receipts {
							from = stage.ProducerFunc[int](source.HandleDemand)
						}
						got, err := runStep(t, t.Context(), from, step)
						if err != nil || !slices.Equal(got, upTo(n)) {
							t.Fatalf("%v, %d events", err, len(got))
						}
						if receipts && (len(source.ends) != n || source.number != n) {
							t.Errorf("%d receipts for %d events", source.number, len(source.ends))
						}
					})
				})
			}
		}
	}
}

var errTest = errors.New("no luck")

// Failed events are tried again without holding up a worker, and their results stay in
// order.
func TestRetryInOrder(t *testing.T) {
	for _, workers := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			const n = 3000
			tries := make(map[int]int)
			var mu sync.Mutex
			f := func(_ context.Context, v int) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				tries[v]++
				switch {
				case v%100 == 7 && tries[v] < 3:
					return 0, errTest
				case v%100 == 8 && tries[v] < 2:
					panic("boom")
				case v%100 == 9:
					return 0, retry.Never(errTest)
				case v%100 == 10:
					return 0, stage.Discard(receipt.Unselected)
				}
				return v, nil
			}
			source := &numbers{n: n}
			step := newMapStep(f, StepConfig[int]{Workers: workers}.defaults(), testPlace(nil))
			begun := time.Now()
			got, err := runStep(t, t.Context(), source, step)
			want := slices.DeleteFunc(upTo(n), func(v int) bool { return v%100 == 9 || v%100 == 10 })
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%v, %d events", err, len(got))
			}
			for v := range n {
				w := receipt.Done
				switch v % 100 {
				case 9:
					w = receipt.Failed
				case 10:
					w = receipt.Discarded
				}
				if source.ends[uint64(v)] != w {
					t.Fatalf("event %d ended as %v", v, source.ends[uint64(v)])
				}
			}
			if s := step.snapshot(); s.Retries != 3*n/100 || s.Failures != n/100 || s.Unfinished != 0 {
				t.Errorf("%+v", s)
			}
			// The pauses overlap: those of 30 events one after the other take 9 s.
			if took := time.Since(begun); took > time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// runEach runs numbers through an end.
func runEach(t *testing.T, ctx context.Context, source stage.Producer[int], step stage.Consumer[int]) error {
	t.Helper()
	from := stage.Must(stage.NewProducer(source, stage.ProducerConfig[int]{Name: "source", Logger: quiet}))
	to := stage.Must(stage.NewConsumer(step, stage.ConsumerConfig{Name: "step", Logger: quiet}))
	if _, err := to.Subscribe(from, stage.SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	return stage.Run(ctx, from, to)
}

// An end handles each event once and gives its receipt.
func TestEach(t *testing.T) {
	for _, workers := range []int{1, 4} {
		for _, receipts := range []bool{false, true} {
			t.Run(fmt.Sprintf("workers %d, receipts %v", workers, receipts), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const n = 5000
					var mu sync.Mutex
					calls := make(map[int]int)
					f := func(_ context.Context, v int) error {
						mu.Lock()
						calls[v]++
						c := calls[v]
						mu.Unlock()
						switch {
						case v%100 == 3 && c == 1, v%100 == 4:
							return errTest
						case v%500 == 0:
							time.Sleep(time.Second)
						}
						return nil
					}
					step := newEachStep(f, StepConfig[int]{Workers: workers}.defaults(), testPlace(nil))
					source := &numbers{n: n}
					var from stage.Producer[int] = source
					if !receipts {
						from = stage.ProducerFunc[int](source.HandleDemand)
					}
					if err := runEach(t, t.Context(), from, step); err != nil {
						t.Fatal(err)
					}
					for v := range n {
						want, end := 1, receipt.Done
						switch v % 100 {
						case 3:
							want = 2
						case 4:
							want, end = 3, receipt.Failed
						}
						if calls[v] != want || receipts && source.ends[uint64(v)] != end {
							t.Fatalf("event %d: %d calls, %v", v, calls[v], source.ends[uint64(v)])
						}
					}
				})
			})
		}
	}
}
