package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// curious is a log handler that calls the pipeline for each line.
type curious struct {
	slog.Handler
	p     atomic.Pointer[pipeline.Pipeline]
	lines atomic.Int64
}

func (c *curious) WithAttrs([]slog.Attr) slog.Handler { return c }

func (c *curious) WithGroup(string) slog.Handler { return c }

func (c *curious) Enabled(context.Context, slog.Level) bool { return true }

func (c *curious) Handle(context.Context, slog.Record) error {
	if p := c.p.Load(); p != nil {
		_ = p.Err()
		if s, ok := p.Step("end"); ok {
			s.Resume()
		}
		p.Resume()
	}
	c.lines.Add(1)
	return nil
}

// A log handler may call the pipeline: no line is written with a lock held.
func TestLogHandlerCallsThePipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(curious)
		p := pipeline.New(pipeline.Config{Logger: slog.New(c)})
		c.p.Store(p)
		died := false
		b := pipeline.Broadcast(pipeline.From(p, newFeed(upTo(10)...), sourceConfig{}))
		pipeline.To(b.Branch("one", pipeline.BranchConfig{}), func() (stage.Consumer[int], error) {
			return stage.ConsumerFunc[int](func(context.Context, []int) error {
				if !died {
					died = true
					return errors.New("dies once")
				}
				return nil
			}), nil
		}, pipeline.StageConfig{Name: "end"})
		done := started(t, p)
		time.Sleep(time.Second)
		if err := b.Add("two", pipeline.BranchConfig{}, func(f *pipeline.Flow[int]) {
			pipeline.Each(f, func(context.Context, int) error { return nil }, stepConfig{})
		}); err != nil {
			t.Fatal(err)
		}
		p.Drain()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		// The start, the broadcast's one branch, the death, the new life, the branch.
		if n := c.lines.Load(); !died || n < 5 {
			t.Errorf("died %v, %d lines", died, n)
		}
	})
}
