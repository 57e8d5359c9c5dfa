package producer_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reugn/go-streams/extension"

	"github.com/penstock-go/penstock/gostreams"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// count yields from 0 without end and counts what was yielded and whether it
// returned.
type count struct{ yielded, returned atomic.Int64 }

func (c *count) seq(yield func(int) bool) {
	defer c.returned.Add(1)
	for i := 0; ; i++ {
		c.yielded.Add(1)
		if !yield(i) {
			return
		}
	}
}

func failing(n int, err error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		yield(-1, err)
	}
}

// Each source of the numbers 0 to n-1.
func finite(n int) map[string]func() stage.Producer[int] {
	filled := func() chan int {
		ch := make(chan int, n)
		for i := range n {
			ch <- i
		}
		close(ch)
		return ch
	}
	stream := func(batch int) stage.Producer[int] {
		ch := make(chan any, n)
		for part := range slices.Chunk(ints(0, n), batch) {
			if batch == 1 {
				ch <- part[0]
			} else {
				ch <- part
			}
		}
		close(ch)
		return stage.Must(gostreams.NewSource(extension.NewChanSource(ch), gostreams.SourceConfig[int]{}))
	}
	return map[string]func() stage.Producer[int]{
		"Seq": func() stage.Producer[int] {
			return stage.Must(producer.NewSeq(slices.Values(ints(0, n)), producer.SeqConfig[int]{}))
		},
		"Seq2": func() stage.Producer[int] {
			return stage.Must(producer.NewSeq2(failing(n, stage.ErrDone), producer.SeqConfig[int]{}))
		},
		"Chan": func() stage.Producer[int] { return stage.Must(producer.NewChan(filled(), producer.ChanConfig[int]{})) },
		"unbuffered Chan": func() stage.Producer[int] {
			ch := make(chan int)
			go func() {
				for i := range n {
					ch <- i
				}
				close(ch)
			}()
			return stage.Must(producer.NewChan(ch, producer.ChanConfig[int]{}))
		},
		"Stream":            func() stage.Producer[int] { return stream(1) },
		"Stream of batches": func() stage.Producer[int] { return stream(77) },
	}
}

func TestSourcesDeliverAllInOrderAndEnd(t *testing.T) {
	for _, n := range []int{0, 1, 1000} {
		for name, source := range finite(n) {
			for _, demand := range []int{1, 10, 1000} {
				t.Run(fmt.Sprint(name, n, "demand", demand), func(t *testing.T) {
					src := stage.Must(stage.NewProducer(source(), stage.ProducerConfig[int]{BufferSize: stage.None, Keep: stage.KeepLast}))
					c := newCollector[int]()
					sink := stage.Must(stage.NewConsumer(c, stage.ConsumerConfig{}))
					sink.Subscribe(src, stage.SubscribeConfig{MaxDemand: demand})
					if err := stage.Run(t.Context(), src, sink); err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(c.got, ints(0, n)) || !errors.Is(c.over, stage.ErrDone) {
						t.Fatal(len(c.got), c.over)
					}
				})
			}
		}
	}
}

// Nothing is read before it is asked for, and as much as is asked for.
func TestSourcesReadOnDemandOnly(t *testing.T) {
	for name, source := range map[string]func() (stage.Producer[int], func() int){
		"Seq": func() (stage.Producer[int], func() int) {
			c := new(count)
			return stage.Must(producer.NewSeq(c.seq, producer.SeqConfig[int]{})), func() int { return int(c.yielded.Load()) }
		},
		"Chan": func() (stage.Producer[int], func() int) {
			ch := make(chan int, 100)
			for i := range 100 {
				ch <- i
			}
			return stage.Must(producer.NewChan(ch, producer.ChanConfig[int]{})), func() int { return 100 - len(ch) }
		},
		"Stream": func() (stage.Producer[int], func() int) {
			ch := make(chan any, 100)
			for i := range 100 {
				ch <- i
			}
			return stage.Must(gostreams.NewSource[int](extension.NewChanSource(ch), gostreams.SourceConfig[int]{})),
				func() int { return 100 - len(ch) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, read := source()
				x := startPipe(t, p, stage.SubscribeConfig{Manual: true})
				asked := 0
				for _, n := range []int{0, 1, 5, 30} {
					if n > 0 {
						x.sub.Ask(n)
					}
					asked += n
					synctest.Wait()
					if got := len(x.await(0)); got != asked || read() != asked {
						t.Fatalf("asked %d, read %d, got %d", asked, read(), got)
					}
				}
				x.stop()
			})
		})
	}
}

// An element that is a batch is read for its first event; the others wait.
func TestStreamBatchIsReadForItsFirstEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := make(chan any, 10)
		for i := range 10 {
			ch <- ints(100*i, 100*i+100)
		}
		close(ch)
		src := stage.Must(gostreams.NewSource[int](extension.NewChanSource(ch), gostreams.SourceConfig[int]{}))
		x := startPipe(t, src, stage.SubscribeConfig{Manual: true})
		asked := 0
		for _, step := range []struct{ ask, read int }{{1, 1}, {99, 1}, {1, 2}, {150, 3}, {749, 10}} {
			x.sub.Ask(step.ask)
			asked += step.ask
			synctest.Wait()
			if got := x.await(0); !slices.Equal(got, ints(0, asked)) || 10-len(ch) != step.read {
				t.Fatalf("asked %d: got %d, read %d", asked, len(got), 10-len(ch))
			}
		}
		x.sub.Ask(1) // the end is noticed with the next demand
		x.end()
		x.stop()
	})
}

// A batch of events goes out without waiting for the next one.
func TestSourcesDoNotWaitForCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := make(chan int, 100)
		for i := range 7 {
			ch <- i
		}
		x := startPipe(t, stage.Must(producer.NewChan(ch, producer.ChanConfig[int]{})), stage.SubscribeConfig{MaxDemand: 50})
		synctest.Wait()
		if !slices.Equal(x.await(0), ints(0, 7)) || !slices.Equal(x.sizes, []int{7}) {
			t.Fatal(x.got, x.sizes)
		}
		ch <- 7
		synctest.Wait()
		if !slices.Equal(x.await(0), ints(0, 8)) {
			t.Fatal(x.got)
		}
		x.stop()
	})
}

func TestSourcesStop(t *testing.T) {
	for _, demand := range []int{0, 10} {
		for name, source := range map[string]func(c *count) stage.Producer[int]{
			"Seq": func(c *count) stage.Producer[int] {
				return stage.Must(producer.NewSeq(c.seq, producer.SeqConfig[int]{}))
			},
			"Seq2": func(c *count) stage.Producer[int] {
				return stage.Must(producer.NewSeq2(func(yield func(int, error) bool) {
					c.seq(func(i int) bool { return yield(i, nil) })
				}, producer.SeqConfig[int]{}))
			},
			"SeqFunc, waiting": func(c *count) stage.Producer[int] {
				return stage.Must(producer.NewSeqFunc(func(ctx context.Context) iter.Seq2[int, error] {
					return func(yield func(int, error) bool) {
						defer c.returned.Add(1)
						<-ctx.Done()
						yield(0, ctx.Err())
					}
				}, producer.SeqConfig[int]{}))
			},
			"Chan": func(*count) stage.Producer[int] {
				return stage.Must(producer.NewChan(make(chan int), producer.ChanConfig[int]{}))
			},
			"Stream": func(*count) stage.Producer[int] {
				return stage.Must(gostreams.NewSource[int](extension.NewChanSource(make(chan any)), gostreams.SourceConfig[int]{}))
			},
		} {
			for _, end := range []string{"drain", "stop"} {
				t.Run(fmt.Sprint(name, demand, end), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c := new(count)
						x := startPipe(t, source(c), stage.SubscribeConfig{Manual: true})
						if demand > 0 {
							x.sub.Ask(demand)
						}
						synctest.Wait()
						begun := time.Now()
						if end == "drain" {
							x.src.Drain()
						} else {
							x.src.Stop(nil)
						}
						<-x.src.Stopped()
						if err := x.src.Err(); err != nil || time.Since(begun) > 0 {
							t.Error(err, time.Since(begun))
						}
						if name[:3] == "Seq" && demand > 0 && c.returned.Load() != 1 {
							t.Error("the iterator did not return")
						}
						x.stop() // and synctest.Test finds goroutines that are left
					})
				})
			}
		}
	}
}

// A value that the iterator is busy with when a drain begins is still emitted,
// unless it takes longer than Patience; then it is reported.
func TestSeqDrainWaitsForAValueThatIsUnderWay(t *testing.T) {
	for _, tc := range []struct {
		takes time.Duration
		got   []int
		lost  []int
	}{
		{time.Second, []int{1}, nil},
		{time.Minute, nil, []int{1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			lost := make(chan int, 1)
			seq := func(yield func(int) bool) {
				<-time.After(tc.takes)
				if yield(1) {
					t.Error("it is asked for more")
				}
			}
			x := startPipe(t, stage.Must(producer.NewSeq(seq, producer.SeqConfig[int]{
				Patience:  10 * time.Second,
				Discarded: func(v int, _ receipt.Reason) { lost <- v },
			})), stage.SubscribeConfig{})
			synctest.Wait()
			x.src.Drain()
			<-x.src.Stopped()
			if err := x.end(); !errors.Is(err, stage.ErrDone) || !slices.Equal(x.got, tc.got) {
				t.Error(err, x.got)
			}
			for _, v := range tc.lost {
				if got := <-lost; got != v {
					t.Error(got)
				}
			}
			x.stop()
		})
	}
}

func TestSeqLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		seq := func(yield func(int) bool) { <-hold }
		x := startPipe(t, stage.Must(producer.NewSeq(seq, producer.SeqConfig[int]{Patience: 10 * time.Second})), stage.SubscribeConfig{})
		synctest.Wait()
		begun := time.Now()
		x.src.Stop(nil)
		<-x.src.Stopped()
		if d := time.Since(begun); d != 10*time.Second {
			t.Error(d)
		}
		close(hold)
		x.stop()
	})
}

func TestSourcesFail(t *testing.T) {
	oops := errors.New("oops")
	stream := func(elements ...any) stage.Producer[int] {
		ch := make(chan any, len(elements))
		for _, e := range elements {
			ch <- e
		}
		return stage.Must(gostreams.NewSource[int](extension.NewChanSource(ch), gostreams.SourceConfig[int]{}))
	}
	isType := func(got string) func(error) bool {
		return func(err error) bool {
			var wrong *gostreams.TypeError
			return errors.As(err, &wrong) && fmt.Sprint(wrong.Got) == got && wrong.Want.String() == "int" &&
				wrong.Error() == `element of type `+got+`, want int or []int`
		}
	}
	for _, tc := range []struct {
		name   string
		source stage.Producer[int]
		is     func(error) bool
	}{
		{"error", stage.Must(producer.NewSeq2(failing(3, oops), producer.SeqConfig[int]{})), func(err error) bool { return errors.Is(err, oops) }},
		{"panic", stage.Must(producer.NewSeq(func(yield func(int) bool) {
			_ = yield(0) && yield(1) && yield(2)
			panic(oops)
		}, producer.SeqConfig[int]{})), func(err error) bool {
			var p *stage.PanicError
			return errors.As(err, &p) && errors.Is(err, oops) && len(p.Stack) > 0
		}},
		{"exit", stage.Must(producer.NewSeq(func(yield func(int) bool) {
			_ = yield(0) && yield(1) && yield(2)
			runtime.Goexit()
		}, producer.SeqConfig[int]{})), func(err error) bool { return errors.Is(err, stage.ErrGoexit) }},
		{"type", stream(0, ints(1, 3), "three", 4), isType("string")},
		{"nil", stream(0, ints(1, 3), nil), isType("<nil>")},
		{"slice of another type", stream(0, []int{}, ints(1, 3), []string{}), isType("[]string")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := startPipe(t, tc.source, stage.SubscribeConfig{})
			<-x.src.Stopped()
			x.end()
			if !slices.Equal(x.got, ints(0, 3)) {
				t.Error("before the failure:", x.got)
			}
			var failed *stage.Error
			if err := x.src.Err(); !tc.is(err) || !errors.As(err, &failed) || !tc.is(x.over) {
				t.Error(err, x.over)
			}
		})
	}
}

func TestSourceOptions(t *testing.T) {
	some := slices.Values([]int{1})
	for option, err := range map[string]error{
		"seq":      refusal(producer.NewSeq[int](nil, producer.SeqConfig[int]{})),
		"seq ":     refusal(producer.NewSeq2[int](nil, producer.SeqConfig[int]{})),
		"OnCancel": refusal(producer.NewSeq(some, producer.SeqConfig[int]{OnCancel: 2})),
		"Patience": refusal(producer.NewSeq(some, producer.SeqConfig[int]{Patience: -1})),
		"ch":       refusal(producer.NewChan[int](nil, producer.ChanConfig[int]{})),
	} {
		var refused *producer.OptionError
		if !errors.As(err, &refused) || refused.Option != strings.TrimSpace(option) {
			t.Error(option, err)
		}
	}
}

// refusal is the error of a constructor.
func refusal[T any](_ T, err error) error { return err }

func TestSourcesDiscardWhatAStopLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := 0
		ch := make(chan any, 1)
		ch <- ints(0, 100)
		src := stage.Must(gostreams.NewSource(extension.NewChanSource(ch), gostreams.SourceConfig[int]{
			Discarded: func(v int, reason receipt.Reason) {
				if v != 40+lost || reason != receipt.Stopped {
					t.Error(v, reason)
				}
				lost++
			},
		}))
		x := startPipe(t, src, stage.SubscribeConfig{Manual: true})
		x.sub.Ask(40)
		synctest.Wait()
		x.stop()
		if lost != 60 || len(x.got) != 40 {
			t.Error(lost, len(x.got))
		}
	})
}

func TestSourcesAllocateNothing(t *testing.T) {
	const n = 200_000
	ch := make(chan int, 1000)
	for name, source := range map[string]func() stage.Producer[int]{
		"Seq": func() stage.Producer[int] {
			return stage.Must(producer.NewSeq(func(yield func(int) bool) {
				for i := 0; i < n && yield(i); i++ {
				}
			}, producer.SeqConfig[int]{}))
		},
		"Chan": func() stage.Producer[int] {
			go func() {
				for i := range n {
					ch <- i
				}
				close(ch)
			}()
			return stage.Must(producer.NewChan(ch, producer.ChanConfig[int]{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			src := stage.Must(stage.NewProducer(source(), stage.ProducerConfig[int]{}))
			got := 0
			sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
				got += len(events)
				return nil
			}), stage.ConsumerConfig{}))
			sink.Subscribe(src, stage.SubscribeConfig{})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begun := time.Now()
			if err := stage.Run(t.Context(), src, sink); err != nil || got != n {
				t.Fatal(err, got)
			}
			took := time.Since(begun)
			runtime.ReadMemStats(&after)
			allocs := after.Mallocs - before.Mallocs
			t.Logf("%.1f M events/s, %d allocations for %d events", n/took.Seconds()/1e6, allocs, n)
			if allocs > n/100 {
				t.Errorf("%d allocations for %d events", allocs, n)
			}
		})
	}
}
