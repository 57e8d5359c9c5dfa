package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// children are workers that each do what their event asks for: end in some way at
// once, or run until they are told how to end.
type children struct {
	t       *testing.T
	pool    *consumer.Supervisor[int]
	queue   *producer.Queue[int]
	rig     *rig
	mu      sync.Mutex
	ends    map[int]chan func() error
	started log
}

// Events whose worker ends at once.
const (
	returns = -1 - iota
	failsAtOnce
	panics
	exits
)

// supervise runs a supervisor on a queue inside a synctest bubble.
func supervise(t *testing.T, cfg config, sub stage.SubscribeConfig) *children {
	c := &children{t: t, ends: make(map[int]chan func() error), queue: stage.Must(producer.NewQueue(producer.QueueConfig[int]{}))}
	c.pool = stage.Must(consumer.NewSupervisor(c.work, cfg))
	c.rig = start(t, c.queue, c.pool, sub)
	return c
}

func (c *children) work(ctx context.Context, v int) error {
	c.started.add(v)
	switch v {
	case returns:
		return nil
	case failsAtOnce:
		return errOops
	case panics:
		panic(errOops)
	case exits:
		runtime.Goexit()
	}
	select {
	case how := <-c.child(v):
		return how()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *children) child(v int) chan func() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ends[v] == nil {
		c.ends[v] = make(chan func() error)
	}
	return c.ends[v]
}

// push pushes an event and returns how many workers run when it has had its
// effect.
func (c *children) push(v int) int {
	if err := c.queue.TryPush(v); err != nil {
		c.t.Error(err)
	}
	return c.count()
}

// end makes the worker of v end and returns how many run then.
func (c *children) end(v int, how func() error) int {
	c.child(v) <- how
	return c.count()
}

// count returns how many workers run or are about to be started again, which count as well.
func (c *children) count() int {
	synctest.Wait()
	s := c.pool.Snapshot()
	return s.Busy + s.Pausing
}

func (c *children) expect(what string, got, want int) {
	c.t.Helper()
	if got != want {
		c.t.Errorf("%s: %d workers, want %d", what, got, want)
	}
}

func well() error { return nil }

// bubble runs a case in a synctest bubble.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// conformSupervisor holds the cases of GenStage's ConsumerSupervisor.
func conformSupervisor(t *testing.T) {
	unlimited := config{MaxDemand: 10, Restart: consumer.Temporary}

	t.Run("G170_wrong_options_are_refused", func(t *testing.T) {
		for option, cfg := range map[string]config{
			"MaxRestarts": {MaxRestarts: -2}, "RestartWindow": {RestartWindow: -1}, "MaxDemand": {MaxDemand: -1},
		} {
			_, err := consumer.NewSupervisor(func(context.Context, int) error { return nil }, cfg)
			if wrong, ok := errors.AsType[*stage.OptionError](err); !ok || wrong.Option != option {
				t.Error(option, err)
			}
		}
	})
	t.Run("G171_a_worker_is_transient_or_temporary", func(t *testing.T) {
		_, err := consumer.NewSupervisor(func(context.Context, int) error { return nil }, config{Restart: consumer.Temporary + 1})
		if wrong, ok := errors.AsType[*stage.OptionError](err); !ok || wrong.Allowed != "Transient or Temporary" {
			t.Error(err)
		}
	})
	bubble(t, "G178_options_and_a_name", func(t *testing.T) {
		var failure error
		pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error { return errOops },
			config{Restart: consumer.Temporary, Failed: func(_ int, err error) { failure = err }}))
		src := stage.Must(stage.NewProducer(&counter{limit: 1}, stage.ProducerConfig[int]{}))
		sink := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{Name: "pool"}))
		if _, err := sink.Subscribe(src, stage.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		if err := stage.Run(t.Context(), src, sink); err != nil {
			t.Error(err)
		}
		if failed, ok := errors.AsType[*consumer.WorkerError](failure); !ok || failed.Stage != "pool" {
			t.Error(failure)
		}
	})
	for name, fail := range fails {
		bubble(t, "G183_a_temporary_worker_is_not_restarted/"+name, func(t *testing.T) {
			c := supervise(t, unlimited, stage.SubscribeConfig{})
			c.expect("pushed", c.push(1), 1)
			c.expect("failed", c.end(1, fail.do), 0)
			if got := c.started.all(); !slices.Equal(got, []int{1}) {
				t.Error(got)
			}
			c.rig.stop()
		})
		bubble(t, "G184_a_transient_worker_is_restarted_if_it_fails/"+name, func(t *testing.T) {
			c := supervise(t, config{MaxDemand: 10}, stage.SubscribeConfig{})
			c.expect("pushed", c.push(1), 1)
			c.expect("failed", c.end(1, fail.do), 1)
			c.expect("dropped", c.end(1, func() error { return stage.Discard(receipt.Expired) }), 0)
			c.expect("pushed", c.push(2), 1)
			c.expect("ended", c.end(2, well), 0)
			if got := c.started.all(); !slices.Equal(got, []int{1, 1, 2}) {
				t.Error(got)
			}
			c.rig.stop()
		})
	}
	bubble(t, "G185_how_a_restart_can_end", func(t *testing.T) {
		c := supervise(t, config{MaxDemand: 10, Retry: retry.Policy{MaxAttempts: retry.Unlimited, Backoff: retry.NoPause}}, stage.SubscribeConfig{})
		c.expect("pushed", c.push(1), 1)
		c.expect("runs again", c.end(1, fails["error"].do), 1)
		c.expect("has nothing to do", c.end(1, well), 0)
		c.push(2)
		c.end(2, fails["error"].do)
		c.expect("discards its event", c.end(2, func() error { return stage.Discard(receipt.Expired) }), 0)
		c.push(3)
		for name, fail := range fails {
			c.expect("fails again: "+name, c.end(3, fail.do), 1)
		}
		if got := c.started.all(); !slices.Equal(got, []int{1, 1, 2, 2, 3, 3, 3, 3}) {
			t.Error(got)
		}
		c.rig.stop()
	})
	bubble(t, "G186_a_restart_that_fails_once", func(t *testing.T) {
		c := supervise(t, config{MaxDemand: 10, MaxRestarts: 2}, stage.SubscribeConfig{})
		c.push(1)
		c.end(1, fails["error"].do)
		c.expect("failed again", c.end(1, fails["error"].do), 1)
		c.expect("ended", c.end(1, well), 0)
		c.rig.stop()
	})
	for name, cfg := range map[string]config{
		"G187_one_restart":                  {MaxRestarts: 1},
		"G188_the_shortest_window":          {MaxRestarts: 3, RestartWindow: 1},
		"G189_ten_restarts":                 {MaxRestarts: 10},
		"G187_one_restart, a worker beside": {MaxRestarts: 1, MaxDemand: 2},
	} {
		bubble(t, name, func(t *testing.T) {
			cfg.Retry = retry.Policy{MaxAttempts: retry.Unlimited, Backoff: retry.NoPause}
			c := supervise(t, cfg, stage.SubscribeConfig{})
			c.push(1)
			c.push(failsAtOnce)
			<-c.rig.sink.Stopped()
			if err := c.rig.sink.Err(); !errors.Is(err, consumer.ErrTooManyRestarts) || !errors.Is(err, errOops) {
				t.Error(err)
			}
			want := cfg.MaxRestarts + 2 // attempts of the one, and one of the other
			if got := len(c.started.all()); got != want {
				t.Errorf("%d attempts, want %d", got, want)
			}
			c.expect("stopped", c.count(), 0)
			c.rig.stop()
		})
	}
	for name, timeout := range map[string]time.Duration{
		"G190_a_stop_ends_all_workers":   time.Nanosecond,
		"G191_however_long_it_may_take":  1000 * time.Hour,
		"G193_within_the_time_they_have": time.Second,
	} {
		bubble(t, name, func(t *testing.T) {
			begun := time.Now()
			var told atomic.Int64
			pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, v int) error {
				<-ctx.Done()
				if errors.Is(context.Cause(ctx), errOops) {
					told.Add(1)
				}
				return nil
			}, config{MaxDemand: 3, ShutdownTimeout: timeout}))
			r := start(t, &counter{}, pool, stage.SubscribeConfig{})
			synctest.Wait()
			r.sink.Stop(errOops)
			<-r.sink.Stopped()
			if told.Load() != 3 || time.Since(begun) != 0 || !reflect.ValueOf(pool.Snapshot()).IsZero() {
				t.Error(told.Load(), time.Since(begun), pool.Snapshot())
			}
			r.stop()
		})
	}
	for name, err := range map[string]error{
		"G192_what_a_worker_returns_after_a_stop":         errOops,
		"G194_what_a_worker_returns_after_a_stop, timely": context.Canceled,
	} {
		bubble(t, name, func(t *testing.T) {
			// It is not the stage's error, and no failure of the event.
			src := &tracked{}
			pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, v int) error {
				<-ctx.Done()
				return err
			}, config{MaxDemand: 3, Failed: func(int, error) { t.Error("failed") }}))
			r := start(t, src, pool, stage.SubscribeConfig{})
			synctest.Wait()
			r.sink.Stop(nil)
			<-r.sink.Stopped()
			synctest.Wait()
			if err := r.sink.Err(); err != nil {
				t.Error(err)
			}
			for v, outcome := range src.outcomes(t) {
				if v < 3 && outcome != receipt.Abandoned {
					t.Error(v, outcome)
				}
			}
			r.stop()
		})
	}
	bubble(t, "G195_one_that_does_not_listen_is_left", func(t *testing.T) {
		hold := make(chan struct{})
		pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, v int) error {
			if v == 1 {
				<-hold
			}
			<-ctx.Done()
			return nil
		}, config{MaxDemand: 3, ShutdownTimeout: time.Millisecond}))
		r := start(t, &counter{}, pool, stage.SubscribeConfig{})
		synctest.Wait()
		begun := time.Now()
		r.sink.Stop(nil)
		<-r.sink.Stopped()
		if s := pool.Snapshot(); time.Since(begun) != time.Millisecond || s.Busy != 1 || s.Goroutines != 1 {
			t.Errorf("%v %+v", time.Since(begun), s)
		}
		close(hold)
		r.stop()
	})
	bubble(t, "G199_subscribe", func(t *testing.T) {
		c := supervise(t, unlimited, stage.SubscribeConfig{})
		if info := c.rig.sub.Info(); info.MaxDemand != 10 || info.MinDemand != 0 || info.Producer != "source" {
			t.Errorf("%+v", info)
		}
		c.rig.stop()
	})
	t.Run("G200_wrong_subscription_options", func(t *testing.T) {
		for option, cfg := range map[string]stage.SubscribeConfig{
			"MaxDemand": {MaxDemand: -1}, "MinDemand": {MaxDemand: 1000, MinDemand: 2000},
		} {
			sink := stage.Must(stage.NewConsumer(stage.Must(consumer.NewSupervisor(func(context.Context, int) error { return nil }, unlimited)), stage.ConsumerConfig{}))
			_, err := sink.Subscribe(stage.Must(stage.NewProducer(&counter{}, stage.ProducerConfig[int]{})), cfg)
			if wrong, ok := errors.AsType[*stage.OptionError](err); !ok || wrong.Option != option {
				t.Error(option, err)
			}
		}
	})
	for name, mode := range map[string]stage.CancelMode{
		"G202_dead_producer_permanent": stage.Permanent, "G204_dead_producer_temporary": stage.Temporary,
	} {
		bubble(t, name, func(t *testing.T) {
			dead := stage.Must(stage.NewProducer(&counter{}, stage.ProducerConfig[int]{Name: "source"}))
			dead.Stop(nil)
			<-dead.Stopped()
			sink := stage.Must(stage.NewConsumer(stage.Must(consumer.NewSupervisor(func(context.Context, int) error { return nil }, unlimited)), stage.ConsumerConfig{}))
			if err := sink.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			sub, err := sink.Subscribe(dead, stage.SubscribeConfig{Cancel: mode})
			if err != nil {
				t.Fatal(err)
			}
			<-sub.Done()
			synctest.Wait()
			select {
			case <-sink.Stopped():
				if mode == stage.Temporary || !errors.Is(sub.Err(), stage.ErrStopped) {
					t.Error("it has stopped:", sub.Err())
				}
			default:
				if mode == stage.Permanent {
					t.Error("it lives")
				}
			}
			sink.Stop(nil)
			<-sink.Stopped()
		})
	}
	bubble(t, "G205_events_that_start_and_that_do_not", func(t *testing.T) {
		c := supervise(t, unlimited, stage.SubscribeConfig{})
		c.expect("ok", c.push(1), 1)
		c.expect("ok", c.push(2), 2)
		c.expect("error", c.push(failsAtOnce), 2)
		c.expect("ends at once", c.push(returns), 2)
		c.expect("panics", c.push(panics), 2)
		c.rig.stop()
	})
	bubble(t, "G206_a_source_of_three_events", func(t *testing.T) {
		c := &children{t: t, ends: make(map[int]chan func() error)}
		c.pool = stage.Must(consumer.NewSupervisor(c.work, unlimited))
		c.rig = start(t, &counter{limit: 3}, c.pool, stage.SubscribeConfig{})
		c.expect("three", c.count(), 3)
		for v := range 3 {
			c.expect("ended", c.end(v, well), 2-v)
		}
		<-c.rig.sink.Stopped()
		c.rig.stop()
	})
	bubble(t, "G207_workers_that_fail_at_once", func(t *testing.T) {
		c := supervise(t, unlimited, stage.SubscribeConfig{})
		for _, how := range []int{failsAtOnce, panics, exits} {
			c.expect(fmt.Sprint(how), c.push(how), 0)
		}
		select {
		case <-c.rig.sink.Stopped():
			t.Error(c.rig.sink.Err())
		default:
		}
		c.expect("lives", c.push(1), 1)
		c.rig.stop()
	})
	bubble(t, "G208_one_at_a_time", func(t *testing.T) {
		c := supervise(t, config{MaxDemand: 1, Restart: consumer.Temporary}, stage.SubscribeConfig{})
		for _, v := range []int{1, failsAtOnce, returns, 2, 3, 4} {
			c.expect("pushed", c.push(v), 1)
		}
		c.expect("next", c.end(1, well), 1)
		if got := c.started.all(); !slices.Equal(got, []int{1, failsAtOnce, returns, 2}) {
			t.Error(got)
		}
		c.expect("next", c.end(2, fails["panic"].do), 1)
		c.expect("next", c.end(3, fails["exit"].do), 1)
		c.expect("last", c.end(4, well), 0)
		c.rig.stop()
	})
	bubble(t, "G210_workers_outlive_a_producer", func(t *testing.T) {
		c := supervise(t, unlimited, stage.SubscribeConfig{Cancel: stage.Temporary})
		c.push(1)
		c.push(2)
		c.rig.src.Stop(errOops)
		c.expect("dead producer", c.count(), 2)
		c.expect("ended", c.end(1, well), 1)
		c.expect("failed", c.end(2, fails["error"].do), 0)
		<-c.rig.sub.Done()
		select {
		case <-c.rig.sink.Stopped():
			t.Error("it has stopped")
		default:
		}
		c.rig.stop()
	})
	bubble(t, "G212_no_ask_while_no_slot_is_freed", func(t *testing.T) {
		p := &partial{}
		c := &children{t: t, ends: make(map[int]chan func() error)}
		c.pool = stage.Must(consumer.NewSupervisor(c.work, config{MaxDemand: 3}))
		c.rig = start(t, p, c.pool, stage.SubscribeConfig{})
		c.expect("two of three", c.count(), 2)
		<-time.After(time.Hour)
		if got := p.demands; !slices.Equal(got, []int{3}) {
			t.Error(got)
		}
		c.end(0, well)
		if got := p.demands; !slices.Equal(got, []int{3, 1}) {
			t.Error(got)
		}
		c.rig.stop()
	})
}

// partial emits two events, whatever it is asked for, and owes the rest.
type partial struct{ demands []int }

func (p *partial) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	if p.demands = append(p.demands, n); len(p.demands) == 1 {
		emit.EmitAll([]int{0, 1})
	}
	return nil
}
