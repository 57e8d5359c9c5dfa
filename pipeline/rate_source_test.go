package pipeline

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

var noLog = slog.New(slog.NewTextHandler(io.Discard, nil))

// limitedRun is a pipeline of sources behind valves of one rate, and a consumer.
type limitedRun struct {
	*sourceRates
	valves []*valve
	got    []atomic.Int64 // by source
	drain  func()
	done   chan error
}

// runLimited runs sources whose events are their numbers.
func runLimited(t *testing.T, rate Rate, own []Rate, sources ...stage.Producer[int]) *limitedRun {
	t.Helper()
	return runWithDemand(t, 1000, rate, own, sources...)
}

// runWithDemand is runLimited with another demand for each source.
func runWithDemand(t *testing.T, maxDemand int, rate Rate, own []Rate, sources ...stage.Producer[int]) *limitedRun {
	t.Helper()
	r := &limitedRun{sourceRates: newSourceRates(rate), got: make([]atomic.Int64, len(sources)), done: make(chan error, 1)}
	end := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
		for _, v := range events {
			r.got[v].Add(1)
		}
		return nil
	}), stage.ConsumerConfig{}))
	stages := []stage.Stage{end}
	for i, source := range sources {
		var rate Rate
		if own != nil {
			rate = own[i]
		}
		v := r.valve(rate)
		r.valves = append(r.valves, v)
		s := stage.Must(stage.NewProducer(limitSource(v, source, noLog), stage.ProducerConfig[int]{}))
		stage.Must(end.Subscribe(s, stage.SubscribeConfig{MaxDemand: maxDemand}))
		stages = append(stages, s)
	}
	p := stage.Must(stage.NewPipeline(stage.PipelineConfig{Logger: noLog}, stages...))
	r.drain = p.Drain
	go func() { r.done <- p.Run(context.Background()) }()
	return r
}

// end drains the pipeline, lets everything through and waits for its end.
func (r *limitedRun) end(t *testing.T) {
	t.Helper()
	r.drain()
	synctest.Wait()
	r.sourceRates.setRate(Rate{})
	for _, v := range r.valves {
		_ = v.SetRate(Rate{})
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

// endless emits v as often as it is asked for.
func endless(v int) stage.Producer[int] {
	return stage.ProducerFunc[int](func(_ context.Context, n int, emit *stage.Emitter[int]) error {
		for range n {
			emit.Emit(v)
		}
		return nil
	})
}

// later emits v as often as it is asked for, a little after that.
type later struct {
	v, owed int
	self    *stage.Handle
}

func (l *later) HandleStart(_ context.Context, self *stage.Handle) error { l.self = self; return nil }

func (l *later) HandleDemand(_ context.Context, n int, _ *stage.Emitter[int]) error {
	l.owed += n
	time.AfterFunc(200*time.Microsecond, l.self.Wake)
	return nil
}

func (l *later) HandleWake(_ context.Context, emit *stage.Emitter[int]) error {
	for ; l.owed > 0; l.owed-- {
		emit.Emit(l.v)
	}
	return nil
}

func queueOf(t *testing.T, n, v int) *producer.Queue[int] {
	t.Helper()
	q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Capacity: max(n, 1)}))
	for range n {
		if err := q.TryPush(v); err != nil {
			t.Fatal(err)
		}
	}
	return q
}

func TestSourcesReachTheirRate(t *testing.T) {
	for _, perSecond := range []int{10, 1000, 100_000} {
		for name, sources := range map[string]func() []stage.Producer[int]{
			"at once": func() []stage.Producer[int] { return []stage.Producer[int]{endless(0)} },
			"later":   func() []stage.Producer[int] { return []stage.Producer[int]{&later{v: 0}} },
			"three":   func() []stage.Producer[int] { return []stage.Producer[int]{endless(0), &later{v: 1}, endless(2)} },
		} {
			t.Run(fmt.Sprint(perSecond, " a second, ", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					all := sources()
					r := runLimited(t, Rate{PerSecond: float64(perSecond)}, nil, all...)
					time.Sleep(10 * time.Second)
					synctest.Wait()
					r.expectRate(t, 10*perSecond)
					r.end(t)
				})
			})
		}
	}
}

func (r *limitedRun) expectRate(t *testing.T, want int) {
	t.Helper()
	sum := 0
	for i := range r.got {
		n := int(r.got[i].Load())
		sum += n
		if share := want / len(r.got); n < share*9/10 || n > share*11/10+1 {
			t.Errorf("source %d: %d events, want some %d", i, n, share)
		}
	}
	t.Logf("%.2f %% of the rate", 100*float64(sum)/float64(want))
	if sum < want*99/100 || sum > want*101/100+1 {
		t.Errorf("%d events, want %d within a percent: %.2f %%", sum, want, 100*float64(sum)/float64(want))
	}
}

// The same on the real clock. It takes 90 s, and so runs only with PENSTOCK_LONG.
func TestSourcesReachTheirRateInRealTime(t *testing.T) {
	if os.Getenv("PENSTOCK_LONG") == "" {
		t.Skip("PENSTOCK_LONG is not set")
	}
	for _, perSecond := range []int{10, 1000, 100_000} {
		for name, sources := range map[string][]stage.Producer[int]{
			"at once": {endless(0)}, "later": {&later{v: 0}}, "three": {endless(0), &later{v: 1}, endless(2)},
		} {
			t.Run(fmt.Sprint(perSecond, " a second, ", name), func(t *testing.T) {
				// With less demand a timer that is 10 ms late would leave a rate of 100,000 none.
				r := runWithDemand(t, 100_000, Rate{PerSecond: float64(perSecond)}, nil, sources...)
				begun := time.Now()
				time.Sleep(10 * time.Second)
				r.expectRate(t, int(time.Since(begun).Seconds()*float64(perSecond)))
				r.drain()
				if err := <-r.done; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// An idle source that was asked for a burst does not let two of them through later, and
// a source that has nothing does not keep the others from the rate.
func TestRateOfAnIdleSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		idle, busy := queueOf(t, 0, 0), queueOf(t, 10_000, 1)
		r := runLimited(t, Rate{PerSecond: 100, Burst: 5}, nil, idle, busy)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := r.got[1].Load(); n < 995 || n > 1006 {
			t.Errorf("%d events beside an idle source, want 1005", n)
		}
		r.end(t)
		busy.Drain()
	})
	synctest.Test(t, func(t *testing.T) {
		q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Capacity: 1000}))
		r := runLimited(t, Rate{PerSecond: 100, Burst: 5}, nil, q)
		time.Sleep(time.Hour)
		for range 1000 {
			if err := q.TryPush(0); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := r.got[0].Load(); n != 5 {
			t.Errorf("%d events at once after a pause, want 5", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := r.got[0].Load(); n < 104 || n > 106 {
			t.Errorf("%d events a second later", n)
		}
		r.end(t)
	})
}

// A change of the rate takes effect at once, whatever was waited for before.
func TestSetRateWhileASourceSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runLimited(t, Rate{PerSecond: 0.1}, nil, endless(0))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := r.got[0].Load(); n != 1 {
			t.Fatalf("%d events, want 1", n)
		}
		r.sourceRates.setRate(Rate{PerSecond: 100_000})
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if n := r.got[0].Load(); n < 9_800 || n > 10_100 {
			t.Errorf("%d events 100 ms after the change, want 10,000", n)
		}
		before := r.got[0].Load()
		r.sourceRates.setRate(Rate{PerSecond: 0.1})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := r.got[0].Load() - before; n > 1 {
			t.Errorf("%d events in 5 s after the change back", n)
		}
		r.end(t)
	})
}

// What a source was asked for while it had no rate counts for one that is set later.
func TestRateCountsWhatWasAskedForBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runLimited(t, Rate{}, nil, &later{})
		time.Sleep(10*time.Millisecond + 100*time.Microsecond)
		synctest.Wait()
		before := r.got[0].Load()
		if before < 10_000 {
			t.Fatalf("%d events in 10 ms without a rate", before)
		}
		r.sourceRates.setRate(Rate{PerSecond: 1000})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := r.got[0].Load() - before; n < 1900 || n > 2100 {
			t.Errorf("%d events in 2 s after the change, want 2,000", n)
		}
		r.sourceRates.setRate(Rate{})
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if n := r.got[0].Load() - before; n < 10_000 {
			t.Errorf("%d events after there is no rate again", n)
		}
		r.end(t)
	})
}

// A source's own rate is a limit beside that of all; what it leaves is for the others.
func TestOwnRateOfASource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runLimited(t, Rate{PerSecond: 1000}, []Rate{{}, {PerSecond: 100}}, endless(0), endless(1))
		second := func(want0, want1 int64) {
			t.Helper()
			before0, before1 := r.got[0].Load(), r.got[1].Load()
			time.Sleep(time.Second)
			synctest.Wait()
			got0, got1 := r.got[0].Load()-before0, r.got[1].Load()-before1
			if got0 < want0*98/100 || got0 > want0*102/100+2 || got1 < want1*98/100 || got1 > want1*102/100+2 {
				t.Errorf("%d and %d events in a second, want %d and %d", got0, got1, want0, want1)
			}
		}
		second(900, 100)
		_ = r.valves[1].SetRate(Rate{PerSecond: 300})
		second(700, 300)
		r.end(t)
	})
}

// A drain goes on at the rate, and nothing accepted is lost.
func TestDrainAtTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runLimited(t, Rate{PerSecond: 10}, nil, queueOf(t, 50, 0))
		time.Sleep(time.Second)
		synctest.Wait()
		before, start := r.got[0].Load(), time.Now()
		r.drain()
		if err := <-r.done; err != nil {
			t.Error(err)
		}
		took := time.Since(start)
		if n := r.got[0].Load(); n != 50 {
			t.Errorf("%d of 50 events", n)
		}
		if want := time.Duration(50-before) * time.Second / 10; took < want-200*time.Millisecond || took > want+200*time.Millisecond {
			t.Errorf("the drain took %v, want %v", took, want)
		}
	})
}

// Broadway's cases of a limited producer: demand that came while nothing may pass is
// passed on later, and two producers share what may pass.
func TestTwoSourcesShareSmallBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runLimited(t, Rate{PerSecond: 40, Burst: 2}, nil, queueOf(t, 3, 0), queueOf(t, 2, 1))
		var at []time.Duration
		start := time.Now()
		for len(at) < 5 {
			synctest.Wait()
			for n := r.got[0].Load() + r.got[1].Load(); int64(len(at)) < n; {
				at = append(at, time.Since(start))
			}
			time.Sleep(time.Millisecond)
		}
		for i, want := range []time.Duration{0, 0, 25, 50, 75} {
			if got := at[i]; got < want*time.Millisecond || got > (want+3)*time.Millisecond {
				t.Errorf("event %d after %v, want %d ms", i, got, want)
			}
		}
		r.end(t)
	})
}

// able is a source with every ability, and counts what is called.
type able struct {
	calls map[string]int
	self  *stage.Handle
	emit  *stage.Emitter[int]
	left  int
}

func (a *able) called(name string) { a.calls[name]++ }

func (a *able) HandleStart(_ context.Context, self *stage.Handle) error {
	a.called("start")
	a.self = self
	self.Send("hello")
	self.Tick(100 * time.Millisecond)
	return nil
}
func (a *able) HandleEmitter(emit *stage.Emitter[int]) { a.called("emitter"); a.emit = emit }
func (a *able) HandleInfo(context.Context, any) error  { a.called("info"); a.emit.Emit(0); return nil }
func (a *able) HandleReceipts(_ context.Context, rs []stage.Receipt) error {
	for range rs {
		a.called("receipts")
	}
	if a.left > 0 {
		a.left--
		a.emit.Emit(0)
	}
	return nil
}
func (a *able) HandleDemand(context.Context, int, *stage.Emitter[int]) error {
	a.called("demand")
	return nil
}
func (a *able) HandleWake(context.Context, *stage.Emitter[int]) error { a.called("wake"); return nil }
func (a *able) HandleDrain(context.Context) error                     { a.called("drain"); return stage.ErrDone }
func (a *able) HandleTick(context.Context) error                      { a.called("tick"); return nil }
func (a *able) HandleStalled() bool                                   { a.called("stalled"); return false }
func (a *able) HandleInspect() any                                    { a.called("inspect"); return nil }
func (a *able) HandleSubscribe(context.Context, stage.SubscriptionInfo) error {
	a.called("subscribe")
	return nil
}
func (a *able) HandleCancel(context.Context, stage.SubscriptionInfo, error) error {
	a.called("cancel")
	return nil
}
func (a *able) HandleTerminate(context.Context, error) error { a.called("terminate"); return nil }

// Behind a valve a source has all its abilities, and what it emits from any handler
// counts: the next demand is passed on.
func TestAValveKeepsAllAbilities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &able{calls: map[string]int{}, left: 20}
		r := runLimited(t, Rate{PerSecond: 100}, nil, a)
		time.Sleep(time.Second)
		synctest.Wait()
		if n := r.got[0].Load(); n != 21 {
			t.Errorf("%d events, want 21", n)
		}
		if n := a.calls["wake"]; n > 0 {
			t.Errorf("woken %d times by nothing", n)
		}
		a.self.Wake()
		synctest.Wait()
		r.end(t)
		for _, name := range []string{
			"start", "emitter", "info", "receipts", "demand", "wake", "tick", "drain", "subscribe", "terminate",
		} {
			if a.calls[name] == 0 {
				t.Errorf("%s was not called: %v", name, a.calls)
			}
		}
		if a.calls["demand"] < 2 {
			t.Errorf("asked %d times, want again after it has emitted", a.calls["demand"])
		}
	})
}

func TestALimitedSourceAllocatesNothing(t *testing.T) {
	th := newSourceRates(Rate{})
	v := th.valve(Rate{})
	v.begin(nil)
	if n := testing.AllocsPerRun(1000, func() {
		v.flow(500, 0)
		v.flow(0, 500)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// The rate of a config reaches the sources of the pipeline.
func TestRateOfAPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Rate: Rate{PerSecond: 1000}, Logger: noLog})
		var got [2]atomic.Int64
		for i, rate := range []Rate{{}, {PerSecond: 100}} {
			flow := From(p, endless(i), SourceConfig[int]{Name: fmt.Sprint("source-", i), Rate: rate})
			To(flow, func() (stage.Consumer[int], error) {
				return stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
					got[i].Add(int64(len(events)))
					return nil
				}), nil
			}, StageConfig{})
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if a, b := got[0].Load(), got[1].Load(); a < 8_900 || a > 9_100 || b < 990 || b > 1010 {
			t.Errorf("%d and %d events in 10 s, want 9,000 and 1,000", a, b)
		}
		if err := p.SetRate(Rate{PerSecond: -1}); err == nil {
			t.Error("a rate below 0 is not refused")
		}
		if err := p.SetRate(Rate{PerSecond: 10_000}); err != nil {
			t.Error(err)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if a := got[0].Load(); a < 9_800 || a > 10_200 {
			t.Errorf("%d events 100 ms after the rate was raised", a)
		}
		one, _ := p.Step("source-1")
		if err := one.SetRate(Rate{PerSecond: 1000}); err != nil {
			t.Error(err)
		}
		before := got[1].Load()
		time.Sleep(time.Second)
		synctest.Wait()
		if b := got[1].Load() - before; b < 980 || b > 1020 {
			t.Errorf("%d events in a second, want 1,000", b)
		}
		if s := p.Snapshot(t.Context()); s.Rate.PerSecond != 10_000 {
			t.Errorf("the snapshot has the rate %+v", s.Rate)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
