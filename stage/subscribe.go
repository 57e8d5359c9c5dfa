package stage

import (
	"cmp"
	"fmt"
)

// Subscribe subscribes the stage to a producer or producer-consumer, before or
// after either was started, from any goroutine. It returns at once: whether the
// producer accepts is seen in what happens to the subscription. A subscription that
// closes a cycle is refused with ErrCycle, or makes what starts its stages refuse
// them. A refused option is an [*OptionError]; it makes Start fail as well if the
// stage has not been started, so that no stage runs without a subscription that it
// needs.
func (c *ConsumerStage[T]) Subscribe(to Output[T], cfg SubscribeConfig) (*Subscription[T], error) {
	return c.subscribe(to, cfg)
}

// Subscribe is as [ConsumerStage.Subscribe].
func (p *ProducerConsumerStage[In, Out]) Subscribe(to Output[In], cfg SubscribeConfig) (*Subscription[In], error) {
	return p.subscribe(to, cfg)
}

// Resubscribe subscribes as Subscribe does in place of old, which is cancelled
// with reason and whose cancel mode does not apply. An old subscription that is
// nil or over already changes nothing.
func (c *ConsumerStage[T]) Resubscribe(old *Subscription[T], reason error, to Output[T], cfg SubscribeConfig) (*Subscription[T], error) {
	return c.resubscribe(old, reason, to, cfg)
}

// Resubscribe is as [ConsumerStage.Resubscribe].
func (p *ProducerConsumerStage[In, Out]) Resubscribe(old *Subscription[In], reason error, to Output[In], cfg SubscribeConfig) (*Subscription[In], error) {
	return p.resubscribe(old, reason, to, cfg)
}

// resubscribe makes the new subscription before it cancels the old one: if it is refused,
// the old one goes on. replaced is set before the cancellation, whose end must not apply
// the cancel mode.
func (e *engine[In, Out]) resubscribe(old *Subscription[In], reason error, to Output[In], cfg SubscribeConfig) (*Subscription[In], error) {
	s, err := e.newSubscription(to, cfg)
	if err != nil {
		return nil, err
	}
	if old != nil {
		// The new one is joined after that. An old one that has ended ignores both.
		old.replaced.Store(true)
		old.Cancel(reason)
	}
	return s, e.postJoin(s)
}

// subscribe makes a subscription and sends it. The first refusal is kept for Start.
func (e *engine[In, Out]) subscribe(to Output[In], cfg SubscribeConfig) (*Subscription[In], error) {
	s, err := e.newSubscription(to, cfg)
	if err != nil {
		e.mu.Lock()
		e.rejected = cmp.Or(e.rejected, err)
		e.mu.Unlock()
		return nil, err
	}
	if err := e.postJoin(s); err != nil {
		return nil, err
	}
	return s, nil
}

// postJoin sends s to its own stage, which sends it on to the producer. The link exists
// before that, so that a pipeline that is run now sees it. A cycle is refused here if the
// stage runs, and otherwise by what starts it.
func (e *engine[In, Out]) postJoin(s *Subscription[In]) error {
	e.node.link(s.up.vertex())
	if e.out != nil && e.node.claimed.Load() {
		if err := e.node.checkCycle(); err != nil {
			e.node.unlink(s.up.vertex())
			return fmt.Errorf("stage %q: subscribe: %w", e.name, err)
		}
	}
	if !e.box.Post(mail[In, Out]{kind: mailJoin, up: s}) {
		e.node.unlink(s.up.vertex())
		return fmt.Errorf("stage %q: subscribe: %w", e.name, ErrStopped)
	}
	return nil
}

// newSubscription checks the config and makes the subscription, which no other goroutine
// knows yet.
func (e *engine[In, Out]) newSubscription(to Output[In], cfg SubscribeConfig) (*Subscription[In], error) {
	var up demandPort[In]
	if to != nil {
		up = to.port()
	}
	if up == nil {
		return nil, ownerOf(e.name).Refuse("Subscribe", nil, "a producer")
	}
	if check := e.do.subscribeConfig; check != nil {
		// The handler refuses options that it would ignore.
		if err := check(cfg); err != nil {
			return nil, err
		}
	}
	maxDemand, minDemand, err := cfg.demands(e.name, e.do.defaultDemand)
	if err != nil {
		return nil, err
	}
	return &Subscription[In]{
		id: lastSubscription.Add(1), scrub: hasPointers[In](),
		info: SubscriptionInfo{
			Producer: up.stageName(), Consumer: e.name,
			MaxDemand: maxDemand, MinDemand: minDemand, Partition: cfg.Partition,
		},
		cfg: cfg, manual: cfg.Manual, maxDemand: maxDemand, minDemand: minDemand,
		asks: e.do.delivery != nil || e.do.pass != nil, deferred: e.do.delivery != nil,
		gathers: e.do.flush != nil || e.out != nil,
		up:      up, down: e, done: make(chan struct{}),
	}, nil
}
