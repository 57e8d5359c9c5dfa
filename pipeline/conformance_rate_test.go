package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/stage"
)

// clock notes events with the time since it was made, such as "0s 1, 10s 2".
type clock struct {
	begun time.Time
	mu    sync.Mutex // guards list
	list  []string
}

func newClock() *clock { return &clock{begun: time.Now()} }

func (c *clock) add(_ context.Context, v int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, fmt.Sprint(time.Since(c.begun), " ", v))
	return nil
}

func (c *clock) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := strings.Join(c.list, ", ")
	c.list = nil
	return text
}

// asked is a source that notes how much it is asked for.
type asked struct {
	*feed
	mu     sync.Mutex // guards demand
	demand []int
}

// all returns what it was asked for.
func (a *asked) all() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.demand)
}

func (a *asked) HandleDemand(ctx context.Context, n int, emit *stage.Emitter[int]) error {
	a.mu.Lock()
	a.demand = append(a.demand, n)
	a.mu.Unlock()
	return a.feed.HandleDemand(ctx, n, emit)
}

const every10 = 0.1 // a second: one in ten seconds

var rateCases = []conformanceCase{
	{"B30_one in ten seconds", func(t *testing.T) {
		b, c := newBroadway(t, func(cfg *pipeline.Config) { cfg.Rate = pipeline.Rate{PerSecond: every10} }), newClock()
		pipeline.Each(b.in, c.add, stepConfig{})
		b.start()
		receipts := b.source.bulk(1, 2)
		synctest.Wait()
		b.is("at once", c.text(), "0s 1")
		b.ends(receipts, "done done")
		b.is("then", c.text(), "10s 2")
	}},
	{"B30_the sources share their rate", func(t *testing.T) {
		b, c := newBroadway(t, func(cfg *pipeline.Config) { cfg.Rate = pipeline.Rate{PerSecond: 40, Burst: 2} }), newClock()
		second := newAcked()
		pipeline.Each(pipeline.Merge(b.in, pipeline.From(b.p, second, sourceConfig{})), c.add, stepConfig{})
		first, other := b.source.bulk(1, 2, 3), second.bulk(11, 12)
		b.start()
		b.ends(first, allDone(3))
		b.ends(other, allDone(2))
		var at []string
		for _, line := range c.list {
			at = append(at, strings.Fields(line)[0])
		}
		b.is("times", at, "[0s 0s 25ms 50ms 75ms]")
	}},
	{"B30_demand waits for the rate", func(t *testing.T) {
		source, c := &asked{feed: newFeed()}, newClock()
		p := pipeline.New(pipeline.Config{Logger: quiet, Rate: pipeline.Rate{PerSecond: every10, Burst: 2}})
		pipeline.Each(pipeline.From(p, source, sourceConfig{}), c.add, stepConfig{Window: 10})
		pipelinetest.Run(t, p)
		synctest.Wait()
		is(t, "demand", source.all(), "[2]")
		source.push(1, 2, 3)
		synctest.Wait()
		is(t, "events", c.text(), "0s 1, 0s 2")
		is(t, "demand", source.all(), "[2]")
		time.Sleep(9 * time.Second)
		is(t, "events", c.text(), "")
		time.Sleep(time.Second)
		synctest.Wait()
		is(t, "events", c.text(), "10s 3")
		is(t, "demand", source.all(), "[2 1]")
	}},
	{"B30_a drain goes on at the rate", func(t *testing.T) {
		source, c := &lateSource{Source: pipelinetest.NewSource[int]()}, newClock()
		p := pipeline.New(pipeline.Config{Logger: quiet, Rate: pipeline.Rate{PerSecond: every10, Burst: 2}})
		pipeline.Each(pipeline.From(p, source, sourceConfig{}), c.add, stepConfig{})
		r := pipelinetest.Run(t, p)
		source.PushAll(1, 2, 3)
		synctest.Wait()
		p.Drain()
		if err := r.Wait(); err != nil {
			t.Error(err)
		}
		is(t, "events", c.text(), "0s 1, 0s 2, 10s 3, 20s 99")
	}},
	{"B30_the rate is changed while the pipeline runs", func(t *testing.T) {
		b, c := newBroadway(t, func(cfg *pipeline.Config) { cfg.Rate = pipeline.Rate{PerSecond: every10} }), newClock()
		pipeline.Each(b.in, c.add, stepConfig{})
		b.start()
		b.source.bulk(between(1, 9)...)
		synctest.Wait()
		b.is("at first", c.text(), "0s 1")
		set := func(rate pipeline.Rate) {
			if err := b.p.SetRate(rate); err != nil {
				t.Error(err)
			}
			b.is("rate", b.p.Snapshot(t.Context()).Rate, fmt.Sprint(rate))
		}
		// It counts at once, with what was saved up: nothing.
		set(pipeline.Rate{PerSecond: 1, Burst: 3})
		time.Sleep(2500 * time.Millisecond)
		b.is("faster", c.text(), "1s 2, 2s 3")
		set(pipeline.Rate{PerSecond: every10, Burst: 3})
		time.Sleep(7500 * time.Millisecond)
		b.is("slower", c.text(), "7.5s 4") // half an event was there
		set(pipeline.Rate{})
		synctest.Wait()
		b.is("without a limit", c.text(), "10s 5, 10s 6, 10s 7, 10s 8, 10s 9")
		for _, rate := range []pipeline.Rate{{PerSecond: -1}, {Burst: 1}, {PerSecond: 1, Burst: -1}} {
			if _, ok := errors.AsType[*pipeline.OptionError](b.p.SetRate(rate)); !ok {
				t.Error("not refused:", rate)
			}
		}
	}},
}
