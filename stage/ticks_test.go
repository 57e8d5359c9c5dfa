package stage_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// clock counts ticks, by the time since it was made.
type clock struct {
	began  time.Time
	ticks  []string
	onTick func() error
}

func newClock() clock { return clock{began: time.Now()} }

func (c *clock) HandleTick(context.Context) error {
	c.ticks = append(c.ticks, time.Since(c.began).String())
	if c.onTick != nil {
		return c.onTick()
	}
	return nil
}

type clockSource struct {
	draining
	clock
}

type clockSink struct {
	sink
	clock
}

type clockPipe struct {
	pipe
	clock
}

// A stage of any kind ticks on its own goroutine, until it ends or the ticks are ended.
func TestTicks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &clockSource{clock: newClock()}
		mid, dst := &clockPipe{*newPipe(1), newClock()}, &clockSink{*newSink(), newClock()}
		p, m, c := producer(src, stage.ProducerConfig[int]{}), between(mid, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribePC(t, m, p, stage.SubscribeConfig{})
		subscribe(t, c, m, stage.SubscribeConfig{})
		// They may emit, and what is emitted passes on at once.
		mid.onTick = func() error { mid.emit.Emit(len(mid.ticks)); return nil }
		start(t, p, m, c)
		src.self.Tick(time.Second)
		mid.self.Tick(2 * time.Second)
		dst.self.Tick(3 * time.Second)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		equal(t, "ticks", src.ticks, "[1s 2s 3s 4s 5s 6s]")
		equal(t, "ticks", mid.ticks, "[2s 4s 6s]")
		equal(t, "ticks", dst.ticks, "[3s 6s]")
		equal(t, "events", dst.events(), []int{1, 2, 3})
		src.self.Tick(0)
		mid.self.Tick(500 * time.Millisecond) // the interval before is over
		m.Drain()
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		equal(t, "ticks", len(src.ticks), 6)
		equal(t, "ticks in a drain", mid.ticks, "[2s 4s 6s 6.5s 7s]")
		p.Stop(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		died(t, c, nil)
		equal(t, "ticks", len(mid.ticks)+len(dst.ticks), 7)
	})
}

// Ticks that come while a handler runs are one, and the next ones come when they would have.
func TestMissedTicksAreOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dst := &clockSink{*newSink(), newClock()}
		c := consumer(dst, "C")
		dst.onInfo = func(any) error { time.Sleep(3500 * time.Millisecond); return nil }
		start(t, c)
		dst.self.Tick(time.Second)
		dst.self.Send("busy")
		time.Sleep(6100 * time.Millisecond)
		synctest.Wait()
		equal(t, "ticks", dst.ticks, "[3.5s 4s 5s 6s]")
	})
}

// A source that runs dry by its ticks goes on with them in a drain.
func TestTicksEndADrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &clockSource{clock: newClock()}, newSink()
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribe(t, c, p, stage.SubscribeConfig{})
		src.onTick = func() error {
			src.emit.Emit(len(src.ticks))
			if len(src.ticks) == 3 {
				return stage.ErrDone
			}
			return nil
		}
		start(t, p, c)
		src.self.Tick(time.Second)
		p.Drain()
		synctest.Wait()
		lives(t, p)
		time.Sleep(5 * time.Second)
		died(t, p, nil)
		died(t, c, nil)
		equal(t, "events", dst.events(), []int{1, 2, 3})
	})
}

// A tick that fails or panics stops its stage, and an error names HandleTick.
func TestFailureInATick(t *testing.T) {
	for _, fail := range []func() error{func() error { return errOops }, func() error { panic(errOops) }} {
		bubble(t, func(t *testing.T) {
			dst := &clockSink{*newSink(), newClock()}
			dst.onTick = fail
			c := consumer(dst, "C")
			start(t, c)
			dst.self.Tick(time.Second)
			time.Sleep(time.Minute)
			died(t, c, errOops)
			var failed *stage.Error
			if !errors.As(c.Err(), &failed) || failed.Handler != "HandleTick" {
				t.Fatal(c.Err())
			}
			equal(t, "ticks", len(dst.ticks), 1)
		})
	}
}

// Ticks for a handler without HandleTick are logged.
func TestTicksWithoutAHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		dst := newSink()
		c := stage.Must(stage.NewConsumer(dst, stage.ConsumerConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
		start(t, c)
		dst.self.Tick(time.Second)
		synctest.Wait()
		equal(t, "logged", strings.Contains(log.String(), "no HandleTick"), true)
		dst.self.Tick(-1)
	})
}

// WakeAt wakes at the time of its last call.
func TestWakeAt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, began := &source{}, time.Now()
		var woken []string
		src.onWake = func() error { woken = append(woken, time.Since(began).String()); return nil }
		p := producer(src, stage.ProducerConfig[int]{})
		start(t, p)
		src.self.WakeAt(began.Add(time.Second))
		src.self.WakeAt(began.Add(3 * time.Second))
		time.Sleep(4 * time.Second)
		src.self.WakeAt(began) // has passed
		synctest.Wait()
		src.self.WakeAt(began.Add(6 * time.Second))
		src.self.WakeAt(time.Time{})
		time.Sleep(10 * time.Second)
		src.self.WakeAt(began.Add(time.Hour))
		synctest.Wait()
		p.Stop(nil)
		time.Sleep(2 * time.Hour)
		equal(t, "woken", woken, "[3s 4s]")
	})
}
