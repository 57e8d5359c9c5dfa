package delivery

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// patience is how long a socket may hold an event before the event counts
// towards MaxWaiting. It matters only while all of MaxDemand is with sockets.
const patience = 100 * time.Millisecond

// Consumer sends events to the clients of an endpoint. It implements
// [stage.Consumer] and gives receipts itself.
type Consumer[T any] struct {
	endpoint *websocket.Endpoint
	cfg      Config[T]
	self     *stage.Handle
	epoch    time.Time    // the zero of the book's clock
	tracer   trace.Tracer // nil: there are no spans
	cluster  bool         // there are other nodes, whose reports come later
	meters   meters
	inbox    inbox[T]
	wanted   atomic.Int64 // by Resize; 0 if it was not called

	// The rest belongs to the stage's goroutine.
	ctx      context.Context
	book     book[T]
	outages  outages
	accounts []*account[T]
	size     int                                       // wanted, as far as the accounts know it
	free     []*flight[T]                              // to be used again
	reports  []reported[T]                             // storage that look exchanges with the inbox
	changed  []*line[T]                                // the same
	group    group[T]                                  // events that are sent together
	drop     func(f *flight[T], reason receipt.Reason) // ends a flight; made once
	left     map[string]struct{}                       // topics with events that are left to the source; nil before the drain
	timer    *time.Timer
	armed    time.Duration // when the timer fires, since epoch; 0 if it does not
}

// wake is the message that makes the stage look into the inbox.
type wake struct{}

// New makes a consumer that delivers to the clients of endpoint. It starts no
// goroutine. The error is an [*OptionError].
func New[T any](endpoint *websocket.Endpoint, cfg Config[T]) (*Consumer[T], error) {
	if err := cfg.validate(endpoint); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	c := &Consumer[T]{endpoint: endpoint, cfg: cfg, cluster: endpoint.PubSub().Node() != pubsub.LocalNode}
	c.inbox.awake = true // until HandleStart opens it
	c.meters.init(cfg.Metrics, cfg.Logger)
	c.book.grace, c.book.timeout, c.book.maxGone = cfg.Grace, cfg.Timeout, cfg.MaxWaiting
	c.book.crowded = cfg.Crowded
	c.drop = func(f *flight[T], reason receipt.Reason) {
		if f.unsure && reason == NoSubscriber {
			reason = NoAnswer
		}
		if c.leaves(f, reason) {
			c.end(f, stage.ErrWithdrawn, time.Time{})
			return
		}
		c.end(f, stage.Discard(reason), time.Time{})
	}
	return c, nil
}

// HandleDefaultDemand implements stage.DefaultDemandHandler.
func (c *Consumer[T]) HandleDefaultDemand() (maxDemand, minDemand int) {
	return c.cfg.MaxDemand, c.cfg.MinDemand
}

// HandleStart implements stage.StartHandler.
func (c *Consumer[T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	c.book.others = absencesOf(c.endpoint.PubSub())
	c.ctx, c.self, c.epoch, c.tracer = ctx, self, c.book.others.epoch, trace.TracerOf(ctx)
	c.inbox.open(func() { self.Send(wake{}) }) // false once the stage has stopped: then nothing is due
	// The timer is made stopped; arm sets it.
	c.timer = time.AfterFunc(time.Hour, c.inbox.tick)
	c.timer.Stop()
	if c.cluster {
		c.outages.stop = c.endpoint.PubSub().WatchReach(c.inbox.tick)
	}
	return nil
}

var errDeliveries = errors.New("delivery: the stage does not pass deliveries to its handler")

// HandleEvents implements stage.Consumer. A Consumer is given deliveries instead.
func (c *Consumer[T]) HandleEvents(context.Context, []T) error { return errDeliveries }

// HandleSubscribeConfig implements stage.SubscribeConfigHandler: Manual is refused.
func (c *Consumer[T]) HandleSubscribeConfig(cfg stage.SubscribeConfig) error {
	return owner.Check(!cfg.Manual, "Manual", cfg.Manual, "false: the consumer asks for what it has room for")
}

// HandleDelivery implements stage.DeliveryHandler. It sends or queues each event,
// and returns without a receipt for those that no client has yet. A handler around it that
// passes events on later can pass an empty delivery first, so that [Consumer.Resize] knows
// the subscription.
func (c *Consumer[T]) HandleDelivery(_ context.Context, d stage.Delivery[T]) error {
	c.inbox.stayAwake()
	c.fit()
	a := c.accountOf(d.Subscription)
	a.receive(len(d.Events))
	c.follow()
	now := c.now()
	for i, event := range d.Events {
		f := c.take()
		f.event, f.account, f.position = event, a, d.First+uint64(i)
		if c.tracer != nil {
			f.trace = d.Subscription.TraceContext(f.position)
		}
		c.begin(f, now)
	}
	c.sendGroup()
	c.work()
	return nil
}

// HandleInfo implements stage.InfoHandler: it is how other goroutines and the
// timer reach the consumer.
func (c *Consumer[T]) HandleInfo(context.Context, any) error {
	c.work()
	return nil
}

// HandleDrain implements stage.DrainHandler.
func (c *Consumer[T]) HandleDrain(context.Context) error {
	if c.cfg.DiscardOnDrain {
		c.book.drainAt(c.now() + c.cfg.DrainGrace)
		c.inbox.stayAwake()
		c.work()
	}
	if c.cfg.WithdrawOnDrain {
		c.left = make(map[string]struct{})
	}
	return nil
}

// HandleTerminate implements stage.TerminateHandler. What has no receipt by now
// gets none.
func (c *Consumer[T]) HandleTerminate(context.Context, error) error {
	c.inbox.close()
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.outages.stop != nil {
		c.outages.stop()
	}
	for _, l := range c.book.lines {
		l.unwatch()
		if l.gone {
			c.book.others.expire(l.topic, l.since)
		}
	}
	if c.book.others != nil {
		c.book.others.leave(c.endpoint.PubSub())
	}
	for f := c.book.open.first; f != nil; f = f.next {
		f.abandonSpan()
	}
	c.meters.discards.end()
	c.meters.show(0, [causes]int{}, 0)
	return nil
}

// now is the time since the start.
func (c *Consumer[T]) now() time.Duration { return time.Since(c.epoch) }

// begin sends an event that has arrived, unless it must wait. An event whose topic
// or payload fails is never in the book.
func (c *Consumer[T]) begin(f *flight[T], now time.Duration) {
	if err := c.prepare(f); err != nil {
		c.end(f, err, time.Time{})
		return
	}
	if _, left := c.left[f.topic]; left { // it must not overtake the earlier ones
		c.end(f, stage.ErrWithdrawn, time.Time{})
		return
	}
	if !c.joins(f) {
		c.sendGroup() // first, since its reports can decide about f
	}
	switch v, reason := c.book.arrive(f, now); v {
	case send:
		c.group.add(f)
	case discard:
		c.drop(f, reason)
	}
}

// prepare makes the topic and the payload of an event.
func (c *Consumer[T]) prepare(f *flight[T]) (err error) {
	defer crash.Catch(&err)
	if f.topic = c.cfg.Topic(f.event); f.topic == "" {
		return errNoTopic
	}
	if f.payload, err = c.cfg.Payload(f.event); err != nil {
		return err
	}
	return nil
}

// send gives an event to the endpoint and handles what was reported meanwhile: on
// one node, the report of a miss comes before Deliver returns.
func (c *Consumer[T]) send(f *flight[T]) {
	f.sent = true
	ctx := c.ctx
	if f.trace.IsSampled() {
		ctx = c.beginSpan(f)
	}
	if err := c.endpoint.Deliver(ctx, f.topic, c.cfg.Event, f.payload, f.done); err != nil {
		c.notSent(f, err)
		return
	}
	c.look(false)
}

// notSent ends an event that the endpoint has not taken. No report of it comes.
func (c *Consumer[T]) notSent(f *flight[T], err error) {
	f.sent = false
	f.endSpan(err)
	c.end(f, err, time.Time{})
}

// look handles what is in the inbox, and reports whether there was anything.
func (c *Consumer[T]) look(sleep bool) bool {
	c.reports, c.changed = c.inbox.take(c.reports[:0], c.changed[:0], sleep)
	some := len(c.reports)+len(c.changed) > 0
	for i := range c.reports {
		c.reported(c.reports[i].flight, c.reports[i].report)
	}
	clear(c.reports)
	for _, l := range c.changed {
		c.book.changed(l)
	}
	clear(c.changed)
	return some
}

// reported handles the report of a flight. Each flight that was sent has exactly
// one.
func (c *Consumer[T]) reported(f *flight[T], r websocket.Report) {
	ahead := f.ahead
	f.unlink()
	f.sent = false
	f.endSpan(r.Err)
	switch {
	case f.over: // it has timed out
		c.put(f)
	case r.Err == nil:
		c.end(f, nil, r.At)
	case errors.Is(r.Err, pubsub.ErrSuperseded):
		c.drop(f, receipt.Conflated)
	case errors.Is(r.Err, pubsub.ErrUnfit):
		c.end(f, r.Err, time.Time{})
	case r.Kept:
		c.drop(f, Kept)
	default:
		why := causeOf(r.Err)
		c.meters.missed[why].Add(1)
		f.unsure = f.unsure || why == forAnswer
		f.taken = f.taken || errors.Is(r.Err, pubsub.ErrGone)
		c.follow()
		switch v, reason := c.book.missed(f, why, c.now()); {
		case v == discard:
			c.drop(f, reason)
		case ahead != nil:
			c.book.awaitFirst(f.line, ahead)
		}
	}
}

// leaves reports whether an event that would be discarded is left to the source instead, and
// remembers its topic then.
func (c *Consumer[T]) leaves(f *flight[T], reason receipt.Reason) bool {
	if c.left == nil || reason != NoSubscriber && reason != NoAnswer {
		return false
	}
	if _, left := c.left[f.topic]; !left && !f.taken {
		return false
	}
	c.left[f.topic] = struct{}{}
	return true
}

// work does all that is due: reports, lines that can go on, deadlines, receipts
// and demand.
func (c *Consumer[T]) work() {
	c.follow()
	var now time.Duration
	for again := true; again; again = c.book.due.Len() > 0 {
		// The stage may sleep only after a look that found nothing, with no line
		// due: what comes later wakes it.
		for c.look(c.book.due.Len() == 0) || c.book.due.Len() > 0 {
			for l := c.book.takeDue(); l != nil; l = c.book.takeDue() {
				c.retry(l)
			}
		}
		now = c.now()
		c.book.expire(now, c.drop) // can free a line in which others wait
	}
	c.fit()
	lag := c.lag(now)
	for _, a := range c.accounts {
		a.settle()
	}
	for _, l := range c.book.removed {
		l.unwatch()
	}
	clear(c.book.removed)
	c.book.removed = c.book.removed[:0]
	c.arm(now, lag)
	c.meters.show(c.book.open.n, c.book.counts, c.book.gone.Len())
}

// retry sends the events of a line again, until one of them must wait.
func (c *Consumer[T]) retry(l *line[T]) {
	if l.watch == nil {
		l.watch = c.endpoint.PubSub().Watch(l.topic, func() { c.inbox.change(l) })
	}
	l.tried = l.tried || l.out == nil
	if _, left := c.left[l.topic]; left { // a client that has come since gets nothing before the earlier ones
		c.book.dropAll(l, NoSubscriber, c.drop)
	}
	away := l.sending > 0
	if l.gone {
		c.book.revive(l, c.endpoint.PubSub().Subscribers(l.topic) > 0)
	}
	for f := c.book.next(l); f != nil; f = c.book.next(l) {
		c.send(f)
		// It came back at once, so that the others would too.
		if len(l.waiting) > 0 && l.waiting[0] == f {
			return
		}
		// The report of another node is still to come, or those of events that were sent
		// together with it.
		if (c.cluster || f.together) && f.sent {
			c.book.await(f)
			return
		}
	}
	if away {
		l.tried = false // those that were with sockets already: they are tried if they come back
	}
	c.book.settle(l, c.now())
}

// lag counts events with slow sockets as lagging, for the subscriptions that could
// otherwise ask for nothing. It returns when to look again, since epoch; 0 means
// never.
func (c *Consumer[T]) lag(now time.Duration) (again time.Duration) {
	for _, a := range c.accounts {
		if !a.starved() {
			continue
		}
		c.book.lag(a, now-patience)
		if a.starved() {
			again = now + patience
		}
	}
	return again
}

// arm sets the timer to the next deadline, or to lag if that is not 0 and earlier.
// A timer that fires too early does no harm: work finds nothing due.
func (c *Consumer[T]) arm(now, lag time.Duration) {
	at, ok := c.book.deadline()
	if lag > 0 {
		at, ok = min(at, lag), true
	}
	switch {
	case !ok && c.armed == 0, ok && c.armed == at:
	case !ok:
		c.timer.Stop()
		c.armed = 0
	default:
		c.timer.Reset(max(0, at-now))
		c.armed = at
	}
}

// end finishes an event and queues its receipt: at is when it was written, err why
// it was not. The flight itself is reused only after its report: one that has
// timed out is still with a socket.
func (c *Consumer[T]) end(f *flight[T], err error, at time.Time) {
	var now time.Duration
	if f.from != nil { // otherwise the time makes no difference
		now = c.now()
	}
	c.book.end(f, err == nil, now)
	f.account.finish(f, err)
	c.note(f.event, f.trace, err, at)
	f.over = true
	if !f.sent {
		c.put(f)
	}
}
