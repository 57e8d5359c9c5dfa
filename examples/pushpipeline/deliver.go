package main

import (
	"context"
	"encoding/json"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
	"github.com/penstock-go/penstock/stage"
)

// event is the channel event of a push.
const event = "push_timed"

// topicOf returns the topic that only this user may join.
func topicOf(user string) string { return topicPrefix + user }

// topicPrefix is what the topics of users begin with.
const topicPrefix = "user:"

// payload returns a push as its user's clients get it: an object with data as it came,
// at, which is when it was enqueued in unix milliseconds, seq and origin. It is written by
// hand since an encoder would read the data a second time.
func payload(p push) (any, error) {
	b := make([]byte, 0, len(p.Data)+len(p.Origin)+payloadOverhead)
	b = append(append(b, `{"data":`...), p.Data...)
	b = appendMillis(append(b, `,"at":`...), p.At)
	b = strconv.AppendUint(append(b, `,"seq":`...), p.Seq, 10)
	b = append(b, `,"origin":`...)
	if plainText(p.Origin) {
		b = append(append(append(b, '"'), p.Origin...), '"')
	} else {
		origin, err := json.Marshal(p.Origin)
		if err != nil {
			return nil, err
		}
		b = append(b, origin...)
	}
	return pubsub.Payload{Data: append(b, '}')}, nil
}

// payloadOverhead is about what payload writes besides data and origin.
const payloadOverhead = 72

// appendMillis appends a time in unix milliseconds, with the microseconds as decimals.
func appendMillis(b []byte, at time.Time) []byte {
	micros := at.UnixMicro()
	b = strconv.AppendInt(b, micros/1000, 10)
	if rest := micros % 1000; rest > 0 {
		b = append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	}
	return b
}

// plainText reports whether a text is JSON when it is put between quotes.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// newSockets makes the end of the pipeline: the channels of the users.
// maxDemand is how many pushes may be on their way to sockets at once.
func (a *app) newSockets(maxDemand int) (*delivery.Consumer[push], error) {
	var crowded func(push) bool
	if a.cfg.Grace > 0 && a.cfg.Source == "kafka" && !a.cfg.FullGrace {
		crowded = a.source.crowded
	}
	return delivery.New(a.endpoint, delivery.Config[push]{
		Topic: push.topicOf, Event: event, Payload: payload,
		// Demand is asked for one by one, so that the dispatcher decides as late
		// as it can which user is next.
		MaxDemand: maxDemand, MinDemand: min(1, maxDemand-1),
		Grace: a.cfg.Grace, Crowded: crowded, DiscardAbsent: a.cfg.Grace == 0,
		// What Kafka keeps is left to the next run instead, also what clients have taken that
		// are closed meanwhile.
		DiscardOnDrain: !a.cfg.keeps(), DrainGrace: drainGrace(a.cfg), WithdrawOnDrain: a.cfg.keeps(),
		Delivered: a.delivered, Failed: a.failed,
		Metrics: a.recorder, Logger: a.log,
	})
}

// drainGrace is how long after the beginning of the pipeline's drain a push that no broker
// keeps waits for its user. Clients that read nothing, and come again, would hold up the
// end. From Kafka the drain begins later: see kafkaSource.refuse.
func drainGrace(cfg config) time.Duration {
	switch {
	case cfg.keeps():
		return 0
	case cfg.Source == "kafka":
		return cfg.Drain / 10
	}
	return cfg.Drain / 5
}

// worker is the end of the pipeline with some work before each push, as many at
// once as the subscription may have in flight. It stands for what a program does
// for a push, such as a query. The stage's goroutine owns it.
type worker struct {
	*delivery.Consumer[push]
	pause  time.Duration // the work
	took   metrics.Timer
	self   *stage.Handle // set by HandleStart, before any delivery
	known  bool          // the consumer knows the subscription
	atWork atomic.Int64  // pushes; read by any goroutine
}

// worked is a push whose work is done.
type worked struct{ delivery stage.Delivery[push] }

// HandleStart implements stage.StartHandler.
func (w *worker) HandleStart(ctx context.Context, self *stage.Handle) error {
	w.self = self
	return w.Consumer.HandleStart(ctx, self)
}

// HandleDelivery implements stage.DeliveryHandler.
func (w *worker) HandleDelivery(ctx context.Context, d stage.Delivery[push]) error {
	// Without work nothing is copied and no timer is made.
	if w.pause == 0 {
		return w.Consumer.HandleDelivery(ctx, d)
	}
	// Before the first work ends, so that Resize holds during it.
	if !w.known {
		w.known = true
		if err := w.Consumer.HandleDelivery(ctx, stage.Delivery[push]{Subscription: d.Subscription}); err != nil {
			return err
		}
	}
	begin := time.Now()
	// Each event gets a timer of its own: the stage's goroutine never sleeps,
	// and all of them are at work at once.
	for i, p := range d.Events {
		w.atWork.Add(1)
		done := worked{stage.Delivery[push]{Subscription: d.Subscription, Events: []push{p}, First: d.First + uint64(i)}}
		time.AfterFunc(w.pause, func() {
			w.atWork.Add(-1)
			w.took.Observe(time.Since(begin))
			// Back to the stage's goroutine, in HandleInfo.
			w.self.Send(done) // false if the stage has stopped: then the push has no receipt
		})
	}
	return nil
}

// HandleInfo implements stage.InfoHandler.
func (w *worker) HandleInfo(ctx context.Context, msg any) error {
	if done, ok := msg.(worked); ok {
		// On the stage's goroutine again, which the consumer needs.
		return w.Consumer.HandleDelivery(ctx, done.delivery)
	}
	return w.Consumer.HandleInfo(ctx, msg)
}
