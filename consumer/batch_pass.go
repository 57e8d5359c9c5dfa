package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/penstock-go/penstock/internal/tracing"
	"github.com/penstock-go/penstock/stage"
)

// end is what has become of an event of the batch that is passed on.
type end struct {
	known bool  // otherwise the event has no receipt
	err   error // as stage.Finished has it
	cost  time.Duration
}

// errBatchFailed is the receipt of the events of a batch that has failed.
var errBatchFailed = errors.New("batch failed")

// span is a part of the batch that the function has not handled yet: the events from lo to
// hi-1.
type span struct {
	lo, hi  int
	attempt int       // the next one, from 1
	most    int       // attempts
	half    bool      // of a span that was split: a pause comes before it
	first   time.Time // of its failures; zero: there was none
}

// pass calls the function with the events that were gathered, of which there must be some,
// and gives the receipts of all whose end is known. If it returns an error the stage ends
// for that, and the others have no receipts. Before another attempt there may be a pause:
// pass returns, and goOn follows.
func (b *Batch[T]) pass(ctx context.Context) error {
	b.stopTimer()
	b.ends = append(b.ends[:0], make([]end, len(b.events))...)
	b.todo = append(b.todo[:0], span{hi: len(b.events), attempt: 1, most: b.cfg.Retry.MaxAttempts})
	return b.work(ctx)
}

// work calls the function for what is left of the batch, up to the next pause.
func (b *Batch[T]) work(ctx context.Context) error {
	// Failed may panic: what was handled before has its receipts all the same.
	defer func() {
		if !b.attempts.resting {
			b.settleAll()
		}
	}()
	for len(b.todo) > 0 {
		next := &b.todo[len(b.todo)-1]
		if next.half {
			next.half = false
			b.attempts.retried()
			b.attempts.rest(b.cfg.Retry.Pause(1))
			return nil
		}
		if err := b.handle(ctx, next); err != nil || b.attempts.resting {
			return err
		}
	}
	return nil
}

// goOn continues when a pause is over. What has arrived meanwhile follows the batch.
func (b *Batch[T]) goOn(ctx context.Context) error {
	if err := b.work(ctx); err != nil || b.attempts.resting {
		return err
	}
	late, parts := b.late, b.lateParts
	b.late, b.lateParts = nil, nil
	timeout := b.cfg.Timeout
	if timeout != NoTimeout {
		timeout = max(0, timeout-time.Since(b.lateSince)) // they have waited already
	}
	for _, p := range parts {
		if err := b.gather(ctx, p.sub, p.first, late[p.at:p.at+p.count], timeout); err != nil {
			return err
		}
	}
	if b.attempts.resting || !b.flushed {
		return nil
	}
	b.flushed = false
	return b.HandleFlush(ctx)
}

// keep takes events that have arrived during a pause.
func (b *Batch[T]) keep(sub *stage.Subscription[T], first uint64, events []T) {
	if len(b.late) == 0 {
		b.lateSince = time.Now()
	}
	b.lateParts = append(b.lateParts, part[T]{sub: sub, first: first, at: len(b.late), count: len(events)})
	b.late = append(b.late, events...)
}

// traced calls the function with the events from lo to hi-1, in a span if some of them are
// sampled.
func (b *Batch[T]) traced(ctx context.Context, lo, hi, attempt int) error {
	if b.attempts.tracer != nil {
		var links tracing.Links
		for _, p := range b.parts {
			for i := max(lo, p.at); i < min(hi, p.at+p.count); i++ {
				links.Add(p.sub.TraceContext(p.first + uint64(i-p.at)))
			}
		}
		if links.Any() {
			return links.Try(ctx, b.attempts.tracer, b.self.Name(), hi-lo, attempt, func(ctx context.Context) error { return b.call(ctx, b.lent) })
		}
	}
	return b.call(ctx, b.lent)
}

// handle makes an attempt for the next part of the batch. If another one follows it begins
// the pause.
func (b *Batch[T]) handle(ctx context.Context, next *span) error {
	lo, hi, attempt := next.lo, next.hi, next.attempt
	n := hi - lo
	var begun time.Time
	what, err := b.attempts.once(ctx, attempt, next.most, func() error {
		// The function may sort the slice, which must not change what a receipt is for.
		b.lent = append(b.lent[:0], b.events[lo:hi]...)
		defer clear(b.lent)
		begun = time.Now()
		return b.traced(ctx, lo, hi, attempt)
	})
	if err != nil && next.first.IsZero() {
		next.first = time.Now()
	}
	since := next.first
	if what.again {
		if what.counts {
			next.attempt++
		}
		b.attempts.rest(what.pause)
		return nil
	}
	b.todo = b.todo[:len(b.todo)-1]
	cost := time.Since(begun) / time.Duration(n) // of the last attempt, without pauses
	if err == stage.ErrDone {
		b.conclude(lo, hi, nil, cost)
		return stage.ErrDone
	}
	v := verdictOf(err, n)
	switch {
	case v.failed == nil && len(v.some) == 0:
		b.conclude(lo, hi, v.dropped, cost)
		return nil
	case v.failed == nil:
		return b.handled(ctx, lo, hi, v.some, cost, attempt, since)
	// The failure may be due to the cancellation: no receipt.
	case ctx.Err() != nil:
		return &BatchError{Stage: b.self.Name(), Size: n, Attempt: attempt, Err: v.failed}
	case b.cfg.Split && n > 1:
		// One attempt for each half: the batch had its own.
		mid := lo + n/2
		half := span{attempt: 1, most: 1, half: true, first: since}
		left, right := half, half
		left.lo, left.hi, right.lo, right.hi = lo, mid, mid, hi
		b.todo = append(b.todo, right, left)
		return nil
	}
	failure := &BatchError{Stage: b.self.Name(), Size: n, Attempt: attempt, Err: v.failed}
	b.attempts.failed(n, v.failed, attempt)
	if b.cfg.OnFailure == FailEvents {
		// Without what it wraps: an error of single events in it is not meant for all.
		b.conclude(lo, hi, errBatchFailed, cost)
	}
	for i := lo; i < hi; i++ {
		b.bury(i, v.failed, attempt, since)
	}
	// After conclude: a panic of Failed takes no receipt away.
	if b.cfg.Failed != nil {
		b.cfg.Failed(b.events[lo:hi:hi], failure)
	}
	if b.cfg.OnFailure == StopStage {
		return failure
	}
	return nil
}

// conclude notes one end for the events from lo to hi-1.
func (b *Batch[T]) conclude(lo, hi int, err error, cost time.Duration) {
	for i := lo; i < hi; i++ {
		b.ends[i] = end{known: true, err: err, cost: cost}
	}
}

// handled notes the ends of events from lo to hi-1 of which some have failed alone. If the
// stage is being stopped an event may have failed because of that, and gets no receipt.
func (b *Batch[T]) handled(ctx context.Context, lo, hi int, some EventErrors, cost time.Duration, attempt int, since time.Time) error {
	b.conclude(lo, hi, nil, cost)
	stopping := ctx.Err()
	for _, i := range some.indexes() {
		e := &b.ends[lo+i]
		e.err = some[i]
		if discarded(some[i]) {
			continue
		}
		if stopping != nil {
			e.known = false
			continue
		}
		b.attempts.failed(1, some[i], 1)
		b.bury(lo+i, some[i], attempt, since)
		if b.cfg.Failed != nil {
			b.cfg.Failed(b.events[lo+i:lo+i+1:lo+i+1], &BatchError{Stage: b.self.Name(), Size: 1, Attempt: 1, Err: some[i]})
		}
	}
	return stopping
}

// bury hands over the letter of an event that has failed for good and whose end is noted,
// if there is a sink: its receipt follows when the letter is stored.
func (b *Batch[T]) bury(i int, err error, attempt int, since time.Time) {
	if b.buried.letters == nil || !b.ends[i].known {
		return
	}
	b.ends[i].known = false
	for _, p := range b.parts {
		if k := i - p.at; k >= 0 && k < p.count {
			receipt := stage.Finished{Position: p.first + uint64(k), Err: b.ends[i].err, Cost: b.ends[i].cost}
			b.buried.bury(p.sub, receipt, b.events[i], err, attempt, since)
			return
		}
	}
}

// settleAll gives the receipts of the batch, and begins the next one.
func (b *Batch[T]) settleAll() {
	for i := range b.parts {
		if sub := b.parts[i].sub; sub != nil {
			b.settle(sub, b.parts[i:])
		}
	}
	clear(b.events)
	clear(b.ends)
	clear(b.parts)
	b.events, b.parts = b.events[:0], b.parts[:0]
}

// settle gives the receipts for the events of sub in parts, and asks for as many.
func (b *Batch[T]) settle(sub *stage.Subscription[T], parts []part[T]) {
	b.finished = b.finished[:0]
	for i := range parts {
		p := &parts[i]
		if p.sub != sub {
			continue
		}
		// settleAll sees that this subscription is done with.
		p.sub = nil
		for k := range p.count {
			// What has no end is not asked for again: the stage ends, or its letter is not
			// stored yet.
			if e := &b.ends[p.at+k]; e.known {
				b.finished = append(b.finished, stage.Finished{Position: p.first + uint64(k), Err: e.err, Cost: e.cost})
			}
		}
	}
	sub.Settle(len(b.finished), b.finished...)
}
