package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ergo-services/ergo/etf"
	"github.com/ergo-services/ergo/gen"
	"github.com/ergo-services/ergo/node"
	"github.com/ergo-services/ergo/proto/dist"
	"github.com/penstock-go/penstock/bench/internal/report"
)

var ergoStage = contestant{
	name: "ergo gen.Stage", kind: report.Peer, module: "github.com/ergo-services/ergo",
	comment: "max demand 1000, min demand 500; W2 passes demand on by hand",
	runs: map[string]runner{
		"W1": func(n int) (time.Duration, []sum, error) {
			return runErgo(n, 0, 1, gen.CreateStageDispatcherDemand())
		},
		"W2": func(n int) (time.Duration, []sum, error) {
			return runErgo(n, hops, 1, gen.CreateStageDispatcherDemand())
		},
		"W3": func(n int) (time.Duration, []sum, error) {
			return runErgo(n, 0, parts, gen.CreateStageDispatcherPartition(parts, func(v etf.Term) int { return partOf(v.(int)) }))
		},
		"W5": func(n int) (time.Duration, []sum, error) {
			return runErgo(n, 0, copies, gen.CreateStageDispatcherBroadcast())
		},
	},
}

// errStalled is the result of a run that came to a standstill. Its Partition
// keeps back what is left below the min demand and does not count down what it
// delivers; its Broadcast has the producer asked once for each subscriber and
// drops what its buffer does not hold. A min demand of 1 does not help.
var errStalled = errors.New("came to a standstill before all had arrived")

// ergoCounter serves demand at once.
type ergoCounter struct {
	gen.Stage
	next, limit int
	dispatcher  gen.StageDispatcherBehavior
}

func (c *ergoCounter) InitStage(*gen.StageProcess, ...etf.Term) (gen.StageOptions, error) {
	return gen.StageOptions{Dispatcher: c.dispatcher, DisableDemandHandle: true}, nil
}

func (c *ergoCounter) HandleSubscribe(*gen.StageProcess, gen.StageSubscription, gen.StageSubscribeOptions) gen.StageStatus {
	return gen.StageStatusOK
}

func (c *ergoCounter) HandleDemand(_ *gen.StageProcess, _ gen.StageSubscription, count uint) (etf.List, gen.StageStatus) {
	events := make(etf.List, min(int(count), c.limit-c.next))
	for i := range events {
		events[i] = c.next
		c.next++
	}
	return events, gen.StageStatusOK
}

func (c *ergoCounter) HandleStageDirect(p *gen.StageProcess, _ etf.Ref, f any) (any, gen.DirectStatus) {
	return nil, f.(func(*gen.StageProcess) error)(p)
}

// ergoAdder adds one, and asks for what it is asked for.
type ergoAdder struct {
	ergoCounter
	from gen.StageSubscription
}

func (a *ergoAdder) InitStage(*gen.StageProcess, ...etf.Term) (gen.StageOptions, error) {
	return gen.StageOptions{}, nil
}

func (a *ergoAdder) HandleDemand(p *gen.StageProcess, _ gen.StageSubscription, count uint) (etf.List, gen.StageStatus) {
	return nil, p.Ask(a.from, count)
}

func (a *ergoAdder) HandleSubscribed(_ *gen.StageProcess, s gen.StageSubscription, o gen.StageSubscribeOptions) (bool, gen.StageStatus) {
	a.from = s
	return o.ManualDemand, gen.StageStatusOK
}

func (a *ergoAdder) HandleEvents(p *gen.StageProcess, _ gen.StageSubscription, events etf.List) gen.StageStatus {
	out := make(etf.List, len(events))
	for i, v := range events {
		out[i] = v.(int) + 1
	}
	return p.SendEvents(out)
}

// ergoTaker adds up until it has got all.
type ergoTaker struct {
	ergoCounter
	sum  *sum
	want int
	done func()
}

func (t *ergoTaker) InitStage(*gen.StageProcess, ...etf.Term) (gen.StageOptions, error) {
	return gen.StageOptions{}, nil
}

func (t *ergoTaker) HandleEvents(_ *gen.StageProcess, _ gen.StageSubscription, events etf.List) gen.StageStatus {
	for _, v := range events {
		t.sum.add(v.(int))
	}
	if t.sum.count >= t.want {
		t.done()
	}
	return gen.StageStatusOK
}

func runErgo(n, between, takers int, d gen.StageDispatcherBehavior) (time.Duration, []sum, error) {
	host, err := node.StartWithContext(context.Background(), "peers@127.0.0.1", "", node.Options{
		StaticRoutesOnly: true,
		Listeners:        []node.Listener{{Hostname: "127.0.0.1"}},
		Handshake:        dist.CreateHandshake(dist.HandshakeOptions{}),
		Proto:            dist.CreateProto(node.DefaultProtoOptions()),
	})
	if err != nil {
		return 0, nil, err
	}
	defer host.Stop()
	source, err := host.Spawn("", gen.ProcessOptions{}, &ergoCounter{limit: n, dispatcher: d})
	if err != nil {
		return 0, nil, err
	}
	subscribe := func(who gen.ProcessBehavior, to gen.Process, options gen.StageSubscribeOptions) (gen.Process, error) {
		options.MaxDemand, options.MinDemand = 2*batch, batch
		p, err := host.Spawn("", gen.ProcessOptions{}, who)
		if err != nil {
			return nil, err
		}
		_, err = p.Direct(func(p *gen.StageProcess) error {
			_, err := p.Subscribe(to.Self(), options)
			return err
		})
		return p, err
	}
	last := source
	for range between {
		if last, err = subscribe(new(ergoAdder), last, gen.StageSubscribeOptions{ManualDemand: true}); err != nil {
			return 0, nil, err
		}
	}
	want := make([]int, takers)
	for i := range want {
		want[i] = n
	}
	if takers == parts {
		clear(want)
		for v := range n {
			want[partOf(v)]++
		}
	}
	sums := make([]sum, takers)
	finished := make(chan struct{})
	var wg sync.WaitGroup
	for i := range sums {
		wg.Add(1)
		taker := &ergoTaker{sum: &sums[i], want: want[i], done: sync.OnceFunc(wg.Done)}
		if _, err := subscribe(taker, last, gen.StageSubscribeOptions{Partition: uint(i)}); err != nil {
			return 0, nil, err
		}
	}
	go func() { wg.Wait(); close(finished) }()
	begin := time.Now()
	if _, err := source.Direct(func(p *gen.StageProcess) error { p.SetDemandHandle(true); return nil }); err != nil {
		return 0, nil, err
	}
	select {
	case <-finished:
		return time.Since(begin), sums, nil
	case <-time.After(patience):
		return 0, nil, errStalled
	}
}
