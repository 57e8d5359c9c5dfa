package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/stage"
)

// errClientClosed stops a stage whose client was closed by something else.
var errClientClosed = errors.New("kafka: client was closed")

// HandleStart makes the client, waits for a broker if StartTimeout is set, and
// starts polling and committing.
func (p *Producer[T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	p.self, p.wake = self, self.Wake
	// The contexts have the values of ctx but not its end: each ends in its own step of
	// HandleTerminate, in the order polling, hard, committing, alive.
	p.polling, p.stopPoll = context.WithCancel(context.WithoutCancel(ctx))
	p.hard, p.abort = context.WithCancel(context.WithoutCancel(ctx))
	p.alive, p.abandon = context.WithCancel(context.WithoutCancel(ctx))
	p.committing, p.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	p.outside = time.Now()
	made := make(chan struct{}) // closed when client is set
	var client *kgo.Client
	var err error
	if p.unpacking, err = newUnpacking(p.cfg.FetchMaxUnpackedBytes, maxDecompressed, p.reopen); err != nil {
		return fmt.Errorf("kafka: start: %w", err)
	}
	client, err = kgo.NewClient(append(p.cfg.options(p.unpacking),
		kgo.WithContext(p.alive),
		kgo.OnPartitionsAssigned(p.assigned),
		kgo.OnPartitionsRevoked(p.revoked),
		kgo.OnPartitionsLost(p.lost),
		kgo.WithHooks(groupHook(p.groupFailed)),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			select {
			case <-made:
				return p.begin(ctx, client, offsets)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}),
	)...)
	if err != nil {
		return fmt.Errorf("kafka: start: %w", err)
	}
	close(made)
	if err := p.reach(ctx, client); err != nil {
		client.Close()
		return err
	}
	p.mu.Lock()
	// Snapshot reads it from other goroutines.
	p.client = client
	p.core.byTime = !p.cfg.StartAt.IsZero() || p.cfg.StartAgo > 0
	p.core.committedOnly = client.OptValue(kgo.FetchIsolationLevel) == kgo.ReadCommitted()
	p.mu.Unlock()
	if err := p.keepLetters(ctx, self); err != nil {
		return err
	}
	// All goroutines are waited for in HandleTerminate.
	p.running.Go(p.pollUntilEnd)
	p.running.Go(p.commitRegularly)
	p.running.Go(p.watch)
	return nil
}

// reach waits for a broker, up to StartTimeout. Without StartTimeout it returns at once,
// and the client connects when it polls.
func (p *Producer[T]) reach(ctx context.Context, client *kgo.Client) error {
	if p.cfg.StartTimeout == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.StartTimeout)
	defer cancel()
	var pause backOff
	for {
		err := client.Ping(ctx)
		if err == nil {
			return nil
		}
		if !pause.wait(ctx) {
			return fmt.Errorf("kafka: start: no broker of %v responded within %v: %w", p.cfg.Brokers, p.cfg.StartTimeout, err)
		}
	}
}

// HandleDrain stops polling, and asks back what was emitted, unless FinishReadAhead is set:
// records that were polled and not emitted are left for the next member anyway.
func (p *Producer[T]) HandleDrain(context.Context) error {
	p.stopTaking(draining)
	if !p.cfg.FinishReadAhead {
		p.running.Go(func() { p.recede(func(*partition) bool { return true }, nil) })
	}
	return stage.ErrDone
}

// stopTaking ends the intake: the core moves on, so that a poll under way takes nothing
// more, and polling is done. Receipts still count.
func (p *Producer[T]) stopTaking(to phase) {
	p.mu.Lock()
	p.core.advance(to)
	p.events = nil
	p.halt.Store(true)
	p.mu.Unlock()
	p.stopPoll()
}

// HandleTerminate commits what is finished, leaves the group and ends all
// goroutines, within CloseTimeout. If a function of the user does not return in
// time it returns stage.ErrHung.
func (p *Producer[T]) HandleTerminate(ctx context.Context, _ error) error {
	// HandleStart has failed or was not called.
	if p.client == nil {
		return nil
	}
	// An eighth of the time is for goroutines to end after everything else was
	// cancelled.
	limit := time.NewTimer(p.cfg.CloseTimeout)
	defer limit.Stop()
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.CloseTimeout/8*7)
	defer cancel()
	p.mu.Lock()
	p.closing = bound
	p.mu.Unlock()
	p.stopTaking(closing)
	p.abort()
	// The committer begins no other commit. One that is under way has the slot, for which
	// the last one waits.
	close(p.commitStop)

	quarter, cancelQuarter := context.WithTimeout(bound, p.cfg.CloseTimeout/4)
	defer cancelQuarter()
	p.endLetters(quarter)
	half, cancelHalf := context.WithTimeout(bound, p.cfg.CloseTimeout/2)
	defer cancelHalf()
	// This commit has half of the time, since leaving the group needs the rest.
	if err := p.commit(half); err != nil {
		p.cfg.Logger.Error("kafka: last commit failed", "group", p.cfg.Group, "error", err)
	}
	p.giveUp()
	// Leaving ends the session, which commits the rest. It waits for a running
	// rebalance, which can take a minute.
	defer context.AfterFunc(bound, p.abandon)()
	if err := p.client.LeaveGroupContext(bound); err != nil {
		p.cfg.Logger.Warn("kafka: group was not left in order", "group", p.cfg.Group, "error", err)
	}
	p.client.Close()
	// Close polls a last time, for which a cancelled leave would wait without
	// end.
	p.client.AllowRebalance()
	p.abandon()
	ended := make(chan struct{})
	go func() {
		// The poller may be in Decode or OnPoison, which cannot be cancelled, and the
		// sink of dead letters may not heed its context.
		p.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-limit.C:
		return fmt.Errorf("kafka: group %q: Decode, OnPoison or DeadLetters did not return within %v: %w", p.cfg.Group, p.cfg.CloseTimeout, stage.ErrHung)
	}
}

// backOff is a growing pause with jitter between attempts. It belongs to one goroutine.
// Its zero value begins with firstPause.
type backOff struct{ d time.Duration }

const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// wait pauses for half of the current pause up to the whole of it, and doubles it for the
// next time, up to maxPause. It returns false if ctx is done.
func (b *backOff) wait(ctx context.Context) bool {
	b.d = min(max(2*b.d, firstPause), maxPause)
	t := time.NewTimer(b.d/2 + rand.N(b.d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// reset makes the next pause the first one again.
func (b *backOff) reset() { b.d = 0 }
