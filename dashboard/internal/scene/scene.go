package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// push is an event.
type push struct {
	User string `json:"user"`
	Text string `json:"text"`
	N    int    `json:"n"`
}

// scene is the pipeline, and what feeds it.
type scene struct {
	queue   *producer.Queue[push]
	pipe    *pipeline.Pipeline
	letters *deadletter.Memory
	lags    *lags
	calm    bool
}

func newScene(o options) (*scene, error) {
	s := &scene{lags: newLags(o.calm), calm: o.calm}
	var err error
	if s.letters, err = deadletter.NewMemory(deadletter.MemoryConfig{}); err != nil {
		return nil, err
	}
	if s.queue, err = producer.NewQueue(producer.QueueConfig[push]{Capacity: 100_000}); err != nil {
		return nil, err
	}
	s.pipe = pipeline.New(pipeline.Config{
		Name: "pushes", DeadLetters: s.letters, Logger: slog.New(slog.DiscardHandler),
		Retry: retry.Policy{MaxAttempts: 2, Backoff: 20 * time.Millisecond},
	})
	in := pipeline.From(s.pipe, s.queue, pipeline.SourceConfig[push]{Name: "intake"})
	turns := pipeline.Fair(in, func(p push) string { return p.User }, fair.Config[push]{
		UnorderedInFlight: 4, KeyMaxEvents: 1500, KeyOverflow: fair.DropOldest, RateOf: s.rateOf,
		TTLOf: func(p push) time.Duration {
			if p.User == "user-late" {
				return 50 * time.Millisecond
			}
			return 0
		},
	})
	rendered := pipeline.Map(turns, s.render, pipeline.StepConfig[push]{
		Name: "render", Workers: 8, Unordered: true, Window: 8, Timeout: 500 * time.Millisecond,
	})
	copies := pipeline.Broadcast(rendered)
	socket := copies.Branch("to-sockets", pipeline.BranchConfig{})
	pipeline.Each(socket, func(context.Context, push) error { return nil }, pipeline.StepConfig[push]{Name: "send", Workers: 4})
	archive := copies.Branch("to-archive", pipeline.BranchConfig{})
	pipeline.EachBatch(archive, func(context.Context, []push) error {
		time.Sleep(5 * time.Millisecond)
		return nil
	}, pipeline.BatchConfig[push]{Name: "archive", Size: 100, Timeout: 400 * time.Millisecond, Workers: 2})
	records := pipeline.From(s.pipe, s.lags, pipeline.SourceConfig[push]{Name: "orders"})
	pipeline.Each(records, func(context.Context, push) error { return nil }, pipeline.StepConfig[push]{Name: "book"})
	return s, s.pipe.Err()
}

// rateOf holds one user back for ten minutes, and lets usual ones wait for a little.
func (s *scene) rateOf(p push) fair.Rate {
	switch {
	case s.calm, p.User == "user-flood", p.User == "user-stuck":
		return fair.Rate{}
	case p.User == "user-parked":
		return fair.Rate{PerSecond: 1.0 / 600, Burst: 1}
	}
	return fair.Rate{PerSecond: 80, Burst: 1}
}

// render is the slow step: of the pushes of user-stuck one does not return, and every
// five-hundredth one of all fails.
func (s *scene) render(ctx context.Context, p push) (push, error) {
	if s.calm {
		return p, nil
	}
	if p.User == "user-stuck" && p.N == 0 {
		select {} // deaf to its timeout
	}
	if p.N%500 == 499 {
		return p, errors.New("the template has no field \"price\"")
	}
	time.Sleep(4 * time.Millisecond)
	return p, nil
}

// run feeds and runs the pipeline until ctx is done.
func (s *scene) run(ctx context.Context) error {
	go s.feed(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := s.pipe.Run(ctx)
	if errors.Is(err, stage.ErrHung) || ctx.Err() != nil {
		return nil // the stuck worker is meant to be
	}
	return err
}

// feed pushes what the users send: about 1,500 pushes a second of which one user sends most.
func (s *scene) feed(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	n := 0
	send := func(user string, count int) {
		for range count {
			_ = s.queue.TryPush(push{User: user, Text: "hello", N: n}) // a full queue is part of the scene
			n++
		}
	}
	send("user-stuck", 1)
	for range 40 {
		send("user-parked", 1)
	}
	for round := 0; ; round++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for range 10 {
			send(fmt.Sprintf("user-%d", rand.IntN(24)), 1)
		}
		if round%40 == 0 {
			for u := range 12 {
				send(fmt.Sprintf("user-%d", u), 2+rand.IntN(12))
			}
			if !s.calm {
				send("user-late", 20) // most of them expire
			}
		}
		if !s.calm && round%20 == 0 {
			send("user-flood", 200)
		}
	}
}

var _ stage.Producer[push] = (*lags)(nil)
