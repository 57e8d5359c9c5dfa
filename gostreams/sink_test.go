package gostreams_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reugn/go-streams"
	"github.com/reugn/go-streams/extension"

	"github.com/penstock-go/penstock/gostreams"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// sink is a go-streams sink whose elements a test takes itself.
type sink struct {
	ch       chan any
	complete chan struct{} // AwaitCompletion waits for it
}

func newSink(size int) *sink { return &sink{ch: make(chan any, size), complete: make(chan struct{})} }

func (s *sink) In() chan<- any   { return s.ch }
func (s *sink) AwaitCompletion() { <-s.complete }

var _ streams.Sink = (*sink)(nil)

func TestSinkWritesAllInOrder(t *testing.T) {
	for _, asBatches := range []bool{false, true} {
		for _, size := range []int{0, 3, 10_000} {
			t.Run(fmt.Sprint(asBatches, size), func(t *testing.T) {
				s := newSink(size)
				var got, kept []int
				go func() {
					defer close(s.complete)
					var parts [][]int
					for element := range s.ch {
						switch e := element.(type) {
						case int:
							got = append(got, e)
						case []int:
							got = append(got, e...)
							parts = append(parts, e) // which the sink may do
						}
					}
					kept = slices.Concat(parts...)
				}()
				src := &tracked{counter{limit: 5000}}
				err := run(t, src, stage.Must(gostreams.NewSink[int](s, gostreams.SinkConfig{Batches: asBatches})), stage.SubscribeConfig{MaxDemand: 100})
				<-s.complete
				if err != nil || !slices.Equal(got, ints(0, 5000)) || len(src.outcomes(t)) != 5000 {
					t.Error(err, len(got), len(src.outcomes(t)))
				}
				if asBatches && !slices.Equal(kept, got) {
					t.Error("a batch was used again")
				}
			})
		}
	}
}

func TestSinkOfGoStreams(t *testing.T) {
	out := make(chan any, 10)
	err := run(t, &counter{limit: 10}, stage.Must(gostreams.NewSink[int](extension.NewChanSink(out), gostreams.SinkConfig{})), stage.SubscribeConfig{})
	var got []int
	for element := range out { // it was closed
		got = append(got, element.(int))
	}
	if err != nil || !slices.Equal(got, ints(0, 10)) {
		t.Error(err, got)
	}
}

// A sink that takes nothing holds up the writer, not the stage; what it has
// taken is receipted at once and asked for again, and no more is ever asked for.
func TestSinkSlowSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink(0)
		src := &tracked{}
		r := start(t, src, stage.Must(gostreams.NewSink[int](s, gostreams.SinkConfig{})), stage.SubscribeConfig{MaxDemand: 10})
		for taken := range 30 {
			synctest.Wait()
			if n := len(src.outcomes(t)); n != taken || src.next != taken+10 {
				t.Fatalf("taken %d: %d receipts, %d emitted", taken, n, src.next)
			}
			if _, err := r.sink.Snapshot(t.Context()); err != nil {
				t.Error(err)
			}
			if got := <-s.ch; got != taken {
				t.Fatal(got, taken)
			}
		}
		synctest.Wait()
		close(s.complete)
		r.stop()
		got := src.outcomes(t)
		if got[29] != receipt.Done || got[30] != receipt.Abandoned || len(got) != 40 {
			t.Error(got)
		}
		if _, open := <-s.ch; open {
			t.Error("the sink's channel is open")
		}
	})
}

// The end waits for the sink, but not longer than CompletionTimeout, and says so.
func TestSinkAwaitsCompletion(t *testing.T) {
	for _, tc := range []struct {
		takes, want time.Duration
		err         error
	}{{time.Second, time.Second, nil}, {time.Hour, 3 * time.Second, stage.ErrHung}} {
		synctest.Test(t, func(t *testing.T) {
			s := newSink(5)
			begun := time.Now()
			time.AfterFunc(tc.takes, func() { close(s.complete) })
			err := run(t, &counter{limit: 5}, stage.Must(gostreams.NewSink[int](s, gostreams.SinkConfig{CompletionTimeout: 3 * time.Second})), stage.SubscribeConfig{})
			if !errors.Is(err, tc.err) || time.Since(begun) != tc.want {
				t.Error(err, time.Since(begun))
			}
			<-s.complete
		})
	}
}

func TestSinkThatCloses(t *testing.T) {
	s := newSink(0)
	close(s.ch)
	close(s.complete)
	err := run(t, &counter{limit: 5}, stage.Must(gostreams.NewSink[int](s, gostreams.SinkConfig{})), stage.SubscribeConfig{})
	if _, ok := errors.AsType[*stage.PanicError](err); !ok || !strings.Contains(err.Error(), "write to sink") {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	var noSink *sink
	for _, tc := range []struct {
		option string
		err    error
	}{
		{"outlet", refusal(gostreams.NewSource[int](nil, gostreams.SourceConfig[int]{}))},
		{"sink", refusal(gostreams.NewSink[int](nil, gostreams.SinkConfig{}))},
		{"sink", refusal(gostreams.NewSink[int](noSink, gostreams.SinkConfig{}))},
		{"sink", refusal(gostreams.NewSink[int](&sink{}, gostreams.SinkConfig{}))},
		{"CompletionTimeout", refusal(gostreams.NewSink[int](newSink(0), gostreams.SinkConfig{CompletionTimeout: -1}))},
	} {
		if refused, ok := errors.AsType[*gostreams.OptionError](tc.err); !ok || refused.Option != tc.option {
			t.Error(tc.option, tc.err)
		}
	}
	c := stage.Must(gostreams.NewSink[int](newSink(0), gostreams.SinkConfig{}))
	if err := c.HandleEvents(t.Context(), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

// refusal is the error of a constructor.
func refusal[T any](_ T, err error) error { return err }
