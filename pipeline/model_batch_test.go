package pipeline_test

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
)

// The steps of the model that are given several events at once.

// batchStep returns a random config of a step whose function is called with batches.
func (b *builder) batchStep(n *modelNode) pipeline.BatchConfig[item] {
	n.attempts = 1 + b.rng.IntN(4)
	c := pipeline.BatchConfig[item]{
		Name: n.name, Size: 1 + b.rng.IntN(20), Restart: b.restart(), DeadLetters: b.r,
		Retry: retry.Policy{MaxAttempts: n.attempts, Backoff: time.Duration(1 + b.rng.IntN(int(100*time.Millisecond)))},
	}
	c.Timeout = []time.Duration{0, pipeline.NoTimeout, time.Duration(1 + b.rng.IntN(int(100*time.Millisecond)))}[b.rng.IntN(3)]
	if b.one(2) {
		c.Workers = 1 + b.rng.IntN(5)
	}
	if b.one(3) {
		c.Key = func(v item) string { return strconv.Itoa(v.Key) }
		if b.one(3) {
			c.MaxKeys = 1 + b.rng.IntN(3)
		}
	}
	if b.one(3) {
		c.Window = 1 + b.rng.IntN(30)
	}
	if b.one(3) {
		c.MaxHeld = 1 + b.rng.IntN(30)
	}
	if b.one(6) {
		c.Rate = pipeline.Rate{PerSecond: float64(20 + b.rng.IntN(1000)), Burst: 1 + b.rng.IntN(20)}
	}
	n.note = fmt.Sprintf("{%d %v w%d key%v win%d held%d a%d}", c.Size, c.Timeout, c.Workers, c.Key != nil, c.Window, c.MaxHeld, n.attempts)
	b.r.say(n.name + n.note)
	return c
}

// batchOrder is what a batch step leaves of an order. With a Key the events of a batch that
// are tried again come after the others of it.
func batchOrder(order byte, c pipeline.BatchConfig[item]) byte {
	switch {
	case c.Key != nil && c.Retry.MaxAttempts > 1:
		return 0
	case c.Key != nil && order != 0:
		return 'k'
	case c.Workers > 1:
		return 0
	}
	return order
}

// attempts is one at each event of a batch, one after the other.
func (r *modelRun) attempts(ctx context.Context, n *modelNode, events []item) ([][]item, error) {
	out := make([][]item, len(events))
	some := consumer.EventErrors{}
	for i, v := range events {
		var err error
		if out[i], err = r.attempt(ctx, n, v); err != nil {
			some[i] = err
		}
	}
	return out, some
}

// mapBatch makes one event of each.
func (b *builder) mapBatch(f modelFlow) modelFlow {
	n := b.node("mapbatch", f)
	n.even = true
	out := f.then(n)
	c := b.batchStep(n)
	out.order = batchOrder(f.order, c)
	out.flow = pipeline.MapBatch(f.flow, func(ctx context.Context, events []item) ([]item, error) {
		made, err := b.r.attempts(ctx, n, events)
		list := make([]item, len(events))
		for i, one := range made {
			if len(one) > 0 {
				list[i] = one[0]
			}
		}
		return list, err
	}, c)
	return out
}

// eachBatch is an end.
func (b *builder) eachBatch(f modelFlow) {
	n := b.node("eachbatch", f)
	n.even = true
	f.then(n)
	c := b.batchStep(n)
	n.order = batchOrder(f.order, c)
	if n.attempts > 1 {
		n.order = 0 // those that are tried again come after others of their batch
	}
	pipeline.EachBatch(f.flow, func(ctx context.Context, events []item) error {
		made, err := b.r.attempts(ctx, n, events)
		for _, one := range made {
			for _, v := range one {
				b.r.handled(n, v)
			}
		}
		return err
	}, c)
}

// reduce gathers events in states and takes the summaries apart again. Some events fail in
// its function, alone and without a letter.
func (b *builder) reduce(f modelFlow) modelFlow {
	n := b.node("reduce", f)
	out := f.then(n)
	c := pipeline.ReduceConfig[item]{Name: n.name, Restart: b.restart(), Every: time.Duration(1+b.rng.IntN(200)) * time.Millisecond}
	if b.one(2) {
		c.Key = func(v item) string { return strconv.Itoa(v.Key) }
		if out.order == 't' {
			out.order = 'k'
		}
	}
	if b.one(3) {
		c.MaxKeys = 1 + b.rng.IntN(3)
	}
	if b.one(3) {
		c.MaxEvents = 1 + b.rng.IntN(20)
	}
	b.r.say(fmt.Sprintf("%s{%v key%v keys%d events%d}", n.name, c.Every, c.Key != nil, c.MaxKeys, c.MaxEvents))
	summaries := pipeline.Reduce(f.flow, c, func(state *[]item, v item) error {
		made, err := b.r.attempt(context.Background(), n, v)
		*state = append(*state, made...)
		return err
	}, func(_ string, state *[]item) []item { return *state })
	out.flow = pipeline.FlatMap(summaries, func(_ context.Context, list []item, emit func(item)) error {
		b.r.moved()
		for _, v := range list {
			emit(v)
		}
		return nil
	}, pipeline.StepConfig[[]item]{Name: n.name + "-apart", Restart: b.restart(), DeadLetters: b.r})
	return out
}
