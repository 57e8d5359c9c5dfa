package consumer_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// startSource starts a stage around p that is stopped at the end of the test.
func startSource(t *testing.T, p stage.Producer[int]) *stage.ProducerStage[int] {
	t.Helper()
	src := stage.Must(stage.NewProducer(p, stage.ProducerConfig[int]{Name: "source"}))
	if err := src.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Stop(nil); <-src.Stopped() })
	return src
}

// take reads up to n events and returns them with the error that came.
func take(n int, all iter.Seq2[int, error]) (got []int, err error) {
	for v, e := range all {
		if e != nil {
			return got, e
		}
		if got = append(got, v); len(got) == n {
			break
		}
	}
	return got, nil
}

// It asks for MaxDemand at once, for more as the loop gets on, and every event
// that was read has a receipt when the loop comes to wait, or is left.
func TestAllAsksAsItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &tracked{}
		src := startSource(t, p)
		read := 0
		for v, err := range consumer.All(t.Context(), src, stage.SubscribeConfig{MaxDemand: 10, MinDemand: 4}) {
			if err != nil || v != read {
				t.Fatal(v, err)
			}
			synctest.Wait()
			// 10 at first, and 6 more after each six.
			if got, want := p.next, 10+read/6*6; got != want {
				t.Errorf("reading %d: %d emitted, want %d", read, got, want)
			}
			if read++; read == 100 {
				break
			}
		}
		synctest.Wait()
		got := p.outcomes(t)
		for v := range p.next {
			if want := v < 100; want != (got[v] == receipt.Done) || !want && got[v] != receipt.Abandoned {
				t.Error(v, got[v])
			}
		}
		src.Stop(nil)
		<-src.Stopped()
	})
}

// What was not read goes to the next loop if the subscription has Redeliver set.
func TestAllRedelivers(t *testing.T) {
	src := startSource(t, &tracked{counter{limit: 50}})
	all := consumer.All(t.Context(), src, stage.SubscribeConfig{Redeliver: true, MaxDemand: 20})
	for _, want := range [][]int{ints(0, 7), ints(7, 8), ints(8, 30), ints(30, 50)} {
		got, err := take(len(want), all)
		if err != nil || !slices.Equal(got, want) {
			t.Fatal(got, want, err)
		}
	}
	<-src.Stopped()
}

func TestAllContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &tracked{counter{limit: 5}}
		src := startSource(t, &silent{})
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			synctest.Wait()
			cancel(errOops)
		}()
		if got, err := take(1, consumer.All(ctx, src, stage.SubscribeConfig{})); err != errOops || got != nil {
			t.Error(got, err)
		}
		// One that is done already subscribes to nothing.
		if got, err := take(1, consumer.All(ctx, startSource(t, p), stage.SubscribeConfig{})); err != errOops || got != nil || p.asked() != nil {
			t.Error(got, err)
		}
	})
}

type silent struct{}

func (*silent) HandleDemand(context.Context, int, *stage.Emitter[int]) error { return nil }

// A body that panics has handled what came before, and leaves no goroutine.
func TestAllPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &tracked{}
		src := startSource(t, p)
		func() {
			defer func() { recover() }()
			for v := range consumer.All(t.Context(), src, stage.SubscribeConfig{MaxDemand: 5}) {
				if v == 3 {
					panic(errOops)
				}
			}
		}()
		synctest.Wait()
		if got := p.outcomes(t); got[2] != receipt.Done || got[3] != receipt.Abandoned {
			t.Error(got)
		}
		src.Stop(nil)
		<-src.Stopped()
	})
}

func TestAllNilSource(t *testing.T) {
	_, err := take(1, consumer.All[int](t.Context(), nil, stage.SubscribeConfig{}))
	if _, ok := errors.AsType[*stage.OptionError](err); !ok {
		t.Error(err)
	}
}
