package pipeline

import (
	"context"
	"testing"

	"github.com/penstock-go/penstock/stage"
)

// events passes b.N numbers through a step, for the cost of an event.
func events(b *testing.B, step stage.ProducerConsumer[int, int], receipts bool) {
	b.ReportAllocs()
	var from stage.Producer[int] = &counting{n: b.N}
	if !receipts {
		from = stage.ProducerFunc[int](from.HandleDemand)
	}
	n := 0
	source := stage.Must(stage.NewProducer(from, stage.ProducerConfig[int]{}))
	via := stage.Must(stage.NewProducerConsumer(step, stage.ProducerConfig[int]{}))
	to := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
		n += len(events)
		return nil
	}), stage.ConsumerConfig{}))
	stage.Must(via.Subscribe(source, stage.SubscribeConfig{}))
	stage.Must(to.Subscribe(via, stage.SubscribeConfig{}))
	b.ResetTimer()
	if err := stage.Run(b.Context(), source, via, to); err != nil {
		b.Fatal(err)
	}
	if n != b.N {
		b.Fatalf("%d events of %d", n, b.N)
	}
}

// counting is a source of n numbers that wants receipts.
type counting struct{ n, next, ended int }

func (s *counting) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	n = min(n, s.n-s.next)
	for i := range emit.Slots(n) {
		_ = i
	}
	if s.next += n; s.next == s.n {
		return stage.ErrDone
	}
	return nil
}

func (s *counting) HandleReceipts(_ context.Context, list []stage.Receipt) error {
	for _, r := range list {
		s.ended += r.Count
	}
	return nil
}

func double(_ context.Context, v int) (int, error) { return 2 * v, nil }

func BenchmarkStep(b *testing.B) {
	for _, tc := range []struct {
		name string
		step func() stage.ProducerConsumer[int, int]
	}{
		{"by hand", func() stage.ProducerConsumer[int, int] { return stage.MapFunc[int, int](double) }},
		{"one worker", func() stage.ProducerConsumer[int, int] {
			return newMapStep(double, StepConfig[int]{}.defaults(), testPlace(nil))
		}},
		{"4 workers", func() stage.ProducerConsumer[int, int] {
			return newMapStep(double, StepConfig[int]{Workers: 4}.defaults(), testPlace(nil))
		}},
		{"4 workers unordered", func() stage.ProducerConsumer[int, int] {
			return newMapStep(double, StepConfig[int]{Workers: 4, Unordered: true}.defaults(), testPlace(nil))
		}},
		{"4 workers by key", func() stage.ProducerConsumer[int, int] {
			names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
			next := 0
			key := func(int) string { next++; return names[next&7] }
			return newMapStep(double, StepConfig[int]{Workers: 4, Key: key}.defaults(), testPlace(nil))
		}},
	} {
		b.Run(tc.name, func(b *testing.B) { events(b, tc.step(), false) })
		b.Run(tc.name+" with receipts", func(b *testing.B) { events(b, tc.step(), true) })
	}
}
