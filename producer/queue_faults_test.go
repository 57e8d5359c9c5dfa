package producer_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// A function of the program that panics or ends its goroutine, or returns a number that
// makes no sense, costs the push that it was called for and no other.
func TestAPushWhoseFunctionsFail(t *testing.T) {
	type event struct{ fault, user string }
	fault := func(e event, where string) int {
		switch e.fault {
		case where + " panics":
			panic("oops")
		case where + " exits":
			runtime.Goexit()
		case "least size":
			return math.MinInt
		case "most size":
			return math.MaxInt
		}
		return 1
	}
	synctest.Test(t, func(t *testing.T) {
		q := stage.Must(producer.NewQueue(producer.QueueConfig[event]{
			Capacity: 3, KeyMaxEvents: 3, MaxBytes: 100,
			Key:  func(e event) string { fault(e, "key"); return e.user },
			Size: func(e event) int { return fault(e, "size") },
		}))
		push := func(e event) (err error, panicked bool) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { panicked = recover() != nil }()
				err = errors.New("goroutine ended")
				err = q.Push(t.Context(), e)
			}()
			<-done
			return err, panicked
		}
		p := startPipe(t, q, stage.SubscribeConfig{MaxDemand: 1})
		good := 0
		for range 100 {
			for _, f := range []string{"key panics", "size panics", "key exits", "size exits", "most size", "least size", ""} {
				err, panicked := push(event{f, "u"})
				switch {
				case strings.HasSuffix(f, "panics") != panicked:
					t.Fatalf("%q: panicked %v", f, panicked)
				case f == "most size":
					if !errors.Is(err, producer.ErrTooLarge) {
						t.Fatalf("%q: %v", f, err)
					}
				case f == "" || f == "least size":
					if err != nil {
						t.Fatalf("%q: %v", f, err)
					}
					good++
				case err == nil:
					t.Fatalf("%q was accepted", f)
				}
			}
		}
		if got := p.await(good); len(got) != good {
			t.Errorf("%d of %d events", len(got), good)
		}
		synctest.Wait()
		if s := q.Snapshot(); s.Unfinished != 0 || s.Bytes != 0 || s.Keys != 0 {
			t.Errorf("left %+v", s)
		}
	})
}

// A Discarded that panics at the end of the stage fails the stage, and is still called for
// every event.
func TestDiscardedThatPanicsAtTheEnd(t *testing.T) {
	reported := 0
	q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Discarded: func(v int, _ receipt.Reason) {
		if reported++; v%3 == 0 {
			panic("oops")
		}
	}}))
	for v := range 10 {
		if err := q.TryPush(v); err != nil {
			t.Fatal(err)
		}
	}
	src := stage.Must(stage.NewProducer(q, stage.ProducerConfig[int]{}))
	if err := src.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	src.Stop(nil)
	<-src.Stopped()
	if _, ok := errors.AsType[*stage.PanicError](src.Err()); !ok {
		t.Errorf("the stage ended with %v", src.Err())
	}
	if reported != 10 || q.Snapshot().Discarded != 10 {
		t.Errorf("%d of 10 events were reported: %+v", reported, q.Snapshot())
	}
}

// The same goes for the events that a reader has left.
func TestDiscardedOfAReaderThatPanicsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reported := 0
		begin, hold := make(chan struct{}), make(chan struct{})
		seq := stage.Must(producer.NewSeq(func(yield func(int) bool) {
			<-begin
			for v := 0; v < 5 && yield(v); v++ {
			}
		}, producer.SeqConfig[int]{Discarded: func(int, receipt.Reason) {
			reported++
			panic("oops")
		}}))
		src := stage.Must(stage.NewProducer(seq, stage.ProducerConfig[int]{}))
		sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(context.Context, []int) error {
			return nil
		}), stage.ConsumerConfig{}))
		stage.Must(sink.Subscribe(src, stage.SubscribeConfig{MaxDemand: 10}))
		for _, s := range []stage.Stage{src, sink} {
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		// What is read after the stop, before the stage sees it, is left.
		go src.Do(func() { <-hold })
		synctest.Wait()
		src.Stop(nil)
		close(begin)
		synctest.Wait()
		close(hold)
		<-src.Stopped()
		<-sink.Stopped()
		if _, ok := errors.AsType[*stage.PanicError](src.Err()); !ok || reported != 5 {
			t.Errorf("%d of 5 events were reported, the stage ended with %v", reported, src.Err())
		}
	})
}
