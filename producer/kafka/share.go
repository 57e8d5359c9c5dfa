package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/pace"
	"github.com/penstock-go/penstock/stage"
)

// Share is a member of a share group (KIP-932) as a stage.Producer: the broker hands the
// records of a partition out to all members, so that there may be more members than
// partitions, and none waits for a record that another one has. There is no order. See the
// package comment, section Share groups.
//
// Two goroutines use it besides the stage's: the poller and the one that renews locks.
// What they share is guarded by mu; nothing of the client's or the user's is called with mu
// held.
type Share[T any] struct {
	cfg    ShareConfig[T]
	meters shareMeters

	// Set by HandleStart, before the other goroutines begin.
	wake     func()
	client   *kgo.Client
	polling  context.Context // done when nothing more is to be polled
	stopPoll context.CancelFunc
	abandon  context.CancelFunc // ends the client at once
	running  sync.WaitGroup
	kick     chan struct{} // has the poller look at the core again
	// The poller's own.
	poisonLines pace.Limiter
	epoch       time.Time

	mu     sync.Mutex // guards the rest
	core   shareCore
	events []T // those of core.records
	stats  ShareSnapshot
	told   time.Time // when an error was last logged
}

// NewShare makes a member. It opens nothing and starts no goroutine; its stage does. An
// error is an [*OptionError].
func NewShare[T any](cfg ShareConfig[T]) (*Share[T], error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Share[T]{cfg: cfg, meters: newShareMeters(cfg.Metrics), kick: make(chan struct{}, 1), epoch: time.Now()}, nil
}

// HandleStart makes the client and starts polling.
func (s *Share[T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	s.wake = self.Wake
	s.polling, s.stopPoll = context.WithCancel(context.WithoutCancel(ctx))
	alive, abandon := context.WithCancel(context.WithoutCancel(ctx))
	client, err := kgo.NewClient(append(s.cfg.options(), kgo.WithContext(alive), kgo.ShareAckCallback(s.acknowledged))...)
	if err != nil {
		abandon()
		return fmt.Errorf("kafka: start: %w", err)
	}
	s.client, s.abandon = client, abandon
	// All goroutines are waited for in HandleTerminate.
	s.running.Go(s.poll)
	s.running.Go(s.renew)
	return nil
}

// HandleDemand implements stage.Producer: it emits what is left of the batch, and has the
// poller fetch the next one if nothing of this one is unfinished.
func (s *Share[T]) HandleDemand(_ context.Context, n int, emit *stage.Emitter[T]) error {
	s.mu.Lock()
	s.core.owed += n
	s.mu.Unlock()
	s.emit(emit)
	s.nudge()
	return nil
}

// HandleWake implements stage.WakeHandler: it emits what was polled.
func (s *Share[T]) HandleWake(_ context.Context, emit *stage.Emitter[T]) error {
	s.emit(emit)
	return nil
}

// emit emits as much of the batch as there is demand for.
func (s *Share[T]) emit(emit *stage.Emitter[T]) {
	s.mu.Lock()
	from, to := s.core.emit()
	events := s.events[from:to]
	s.mu.Unlock()
	emit.EmitAll(events)
}

// HandleStalled implements stage.StalledHandler: the next batch is fetched when this one
// is finished.
func (s *Share[T]) HandleStalled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.stalled()
}

// HandleReceipts implements stage.ReceiptsHandler: it gives the verdicts.
func (s *Share[T]) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	var verdicts [Reject + 1][]*kgo.Record
	n := 0
	for _, r := range receipts {
		var list []*kgo.Record
		s.mu.Lock()
		n += s.core.judge(r.First, r.Count, func(record *kgo.Record) { list = append(list, record) })
		s.mu.Unlock()
		for _, record := range list {
			v := s.cfg.Verdict(record, r.Outcome)
			if v < Accept || v > Reject {
				v = VerdictOf(record, r.Outcome)
			}
			verdicts[v] = append(verdicts[v], record)
		}
	}
	for v, list := range verdicts {
		s.mark(Verdict(v), list)
	}
	s.mu.Lock()
	finished := s.core.settle(n)
	s.mu.Unlock()
	if finished {
		s.nudge()
	}
	return nil
}

// mark has the client send verdicts, with its next request.
func (s *Share[T]) mark(v Verdict, list []*kgo.Record) {
	if len(list) == 0 {
		return
	}
	status := map[Verdict]kgo.AckStatus{Accept: kgo.AckAccept, Release: kgo.AckRelease, Reject: kgo.AckReject}[v]
	s.client.MarkAcks(status, list...)
	s.meters.verdict(v).Add(int64(len(list)))
	s.mu.Lock()
	*s.stats.verdict(v) += int64(len(list))
	s.mu.Unlock()
}

// nudge has the poller look at the core again.
func (s *Share[T]) nudge() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// HandleDrain stops polling. Records that were polled and not emitted go back to the
// broker.
func (s *Share[T]) HandleDrain(context.Context) error {
	s.stop()
	return stage.ErrDone
}

// stop ends the intake.
func (s *Share[T]) stop() {
	s.mu.Lock()
	s.core.ended = true
	s.mu.Unlock()
	s.stopPoll()
}

// HandleTerminate gives the last verdicts, releases what has none, and leaves the group,
// within CloseTimeout. If Decode or OnPoison does not return in time it returns
// stage.ErrHung.
func (s *Share[T]) HandleTerminate(ctx context.Context, _ error) error {
	if s.client == nil {
		return nil // HandleStart has failed or was not called
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.CloseTimeout)
	defer cancel()
	s.stop()
	defer context.AfterFunc(bound, s.abandon)()
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	hung := false
	select {
	case <-ended:
	case <-bound.Done():
		hung = true
	}
	// It releases the records that have no verdict.
	if err := s.client.LeaveGroupContext(bound); err != nil {
		s.cfg.Logger.Warn("kafka: share group was not left in order", "group", s.cfg.Group, "error", err)
	}
	s.client.Close()
	s.abandon()
	if hung {
		return fmt.Errorf("kafka: share group %q: Decode or OnPoison did not return within %v: %w", s.cfg.Group, s.cfg.CloseTimeout, stage.ErrHung)
	}
	return nil
}

// decode returns the event of a record, or why the record is poison.
func (s *Share[T]) decode(r *kgo.Record) (event T, err error) {
	if err := s.cfg.Limits.check(r); err != nil {
		return event, err
	}
	if exit := crash.Apart(func() { event, err = s.cfg.Decode(r) }); exit != nil {
		err = exit
	}
	return event, err
}

// poll is the poller's goroutine.
func (s *Share[T]) poll() {
	var pause backOff
	for {
		s.mu.Lock()
		fetch := s.core.fetches()
		s.mu.Unlock()
		if !fetch {
			select {
			case <-s.kick:
				continue
			case <-s.polling.Done():
				return
			}
		}
		fetches := s.client.PollFetches(s.polling)
		if s.polling.Err() != nil {
			return // leaving the group releases what came
		}
		failed := false
		fetches.EachError(func(topic string, partition int32, err error) {
			if !errors.Is(err, context.Canceled) {
				failed = true
				s.report("polling", fmt.Errorf("topic %q, partition %d: %w", topic, partition, err))
			}
		})
		s.take(fetches.Records())
		if failed {
			pause.wait(s.polling)
		} else if !fetches.Empty() {
			pause.reset()
		}
	}
}

// take makes the polled records the batch.
func (s *Share[T]) take(polled []*kgo.Record) {
	if len(polled) == 0 {
		return
	}
	var records []*kgo.Record
	var events []T
	for _, r := range polled {
		event, err := s.decode(r)
		if err != nil {
			s.poison(r, err)
			continue
		}
		records, events = append(records, r), append(events, event)
	}
	s.meters.records.Add(int64(len(polled)))
	s.mu.Lock()
	s.stats.Records += int64(len(polled))
	s.core.take(records)
	s.events = events
	s.mu.Unlock()
	s.wake()
}

// renew is the goroutine that renews the locks of unfinished records.
func (s *Share[T]) renew() {
	tick := time.NewTicker(s.cfg.RenewInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.polling.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		list := s.core.unfinished()
		s.stats.Renewed += int64(len(list))
		s.mu.Unlock()
		if len(list) > 0 {
			s.client.MarkAcks(kgo.AckRenew, list...)
		}
	}
}
