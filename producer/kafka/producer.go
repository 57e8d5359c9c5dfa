package kafka

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// Producer is a member of a consumer group as a stage.Producer. Make one with
// [NewProducer] and pass it to stage.NewProducer, with the default of Keep: the
// demand at the time of the poll bounds what is emitted, and a polled record must
// not be discarded.
//
// Five goroutines use it besides the stage's: the poller, the committer, the
// watcher, the client's, which calls back on rebalances, and the one of the dead letters, if they are
// kept. What they share is guarded by mu; the
// core decides with mu held, and what it orders is done after mu is released.
// Nothing of the client's, the user's, the logger's or the recorder's is called with
// mu held.
type Producer[T any] struct {
	cfg    Config[T]
	meters meters
	gauges gauges      // of the committer
	eyes   *kgo.Client // of the watcher

	// Set by HandleStart, before the other goroutines begin.
	wake       func() // has HandleWake called
	self       *stage.Handle
	polling    context.Context // done when nothing more is to be polled
	stopPoll   context.CancelFunc
	hard       context.Context // done when no receipts will come any more
	abort      context.CancelFunc
	alive      context.Context // the client's; done when it must end at once
	abandon    context.CancelFunc
	committing context.Context // done when regular commits must end
	giveUp     context.CancelFunc

	commitStop chan struct{}
	running    sync.WaitGroup     // poller and committer
	polled     chan struct{}      // closed when the poller has ended
	kick       chan struct{}      // has the poller look at the core again
	commitNext chan struct{}      // has the committer commit before its time
	looking    chan struct{}      // has the watcher look now
	commitSlot chan struct{}      // held while committing or moving offsets; taken before mu
	poller     poller[T]          // the poller's goroutine's own, until it has ended
	halt       atomic.Bool        // the poller decodes no further before it has looked at the core
	unpacking  *unpacking         // bounds what the client unpacks
	letters    *deadletter.Writer // of poison records; nil: none are kept
	name       string             // of the stage
	epoch      time.Time          // when the producer was made

	mu        sync.Mutex // guards the rest
	client    *kgo.Client
	core      core
	events    []T // those of core.ready, in order
	interrupt context.CancelFunc
	settled   chan struct{}   // closed when no event of a leaving partition is in flight; nil if nothing waits
	closing   context.Context // bounds the end; nil before
	halvings  int             // how much less than the configured sizes it fetches
	stats     counts
	troubles  troubles
	member    bool                // it has belonged to the group
	outside   time.Time           // since when it does not, if core.session is outside
	looked    time.Time           // when the ends were last measured
	ids       map[string][16]byte // of topics, as they were last seen
	stale     map[string]bool     // topics whose id the client may not know yet
}

// NewProducer makes a producer. It opens nothing and starts no goroutine; its
// stage does. An error is an [*OptionError].
func NewProducer[T any](cfg Config[T]) (*Producer[T], error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	core := newCore(cfg.Window).delayed(cfg.Delay)
	core.most = cfg.FetchMaxUnpackedBytes
	return &Producer[T]{
		poller:     poller[T]{size: 1},
		cfg:        cfg,
		epoch:      time.Now(),
		meters:     newMeters(cfg.Metrics),
		commitStop: make(chan struct{}),
		polled:     make(chan struct{}),
		kick:       make(chan struct{}, 1),
		commitNext: make(chan struct{}, 1),
		commitSlot: make(chan struct{}, 1),
		core:       core,
		looking:    make(chan struct{}, 1),
		troubles:   troubles{},
		ids:        map[string][16]byte{},
		stale:      map[string]bool{},
	}, nil
}

// HandleDemand implements stage.Producer: the poller polls for n records more. Nothing is
// emitted here; HandleWake does that when they have come.
func (p *Producer[T]) HandleDemand(_ context.Context, n int, _ *stage.Emitter[T]) error {
	p.mu.Lock()
	p.release(p.core.demand(n))
	return nil
}

// HandleWake implements stage.WakeHandler: it emits what was polled, except for the
// records of partitions that were lost meanwhile. The stage numbers the events in the
// order in which they are emitted here, by which HandleReceipts finds them.
func (p *Producer[T]) HandleWake(_ context.Context, emit *stage.Emitter[T]) error {
	p.mu.Lock()
	at := 0
	do := p.core.emit(func(n int, emitted bool) {
		// at is the place in p.events, which holds the events of all spans in order.
		if emitted {
			emit.EmitAll(p.events[at : at+n])
		}
		at += n
	})
	clear(p.events)
	p.events = p.events[:0]
	var err error
	if p.core.phase == failed {
		err = errClientClosed
	}
	p.release(do)
	return err
}

// HandleStalled implements stage.StalledHandler: the window of a partition is full, so
// that nothing more of it is polled before there are receipts.
func (p *Producer[T]) HandleStalled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.stalled()
}

// HandleReceipts implements stage.ReceiptsHandler: it finishes records, and makes
// abandoned ones be read again. Failed and discarded events are finished.
func (p *Producer[T]) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	var do orders
	abandoned := 0
	p.mu.Lock()
	for _, r := range receipts {
		do = do.and(p.core.receive(r.First, r.Count, r.Outcome))
		if r.Outcome == receipt.Abandoned {
			abandoned += r.Count
		}
	}
	p.release(do)
	p.meters.abandoned.Add(int64(abandoned))
	return nil
}

// release releases mu, which the caller holds, and carries out what the core has ordered.
// What it needs is read before: another goroutine may change it as soon as mu is free.
func (p *Producer[T]) release(do orders) {
	var settled chan struct{}
	var interrupt context.CancelFunc
	if do.settled {
		// It is closed once: await reads it from its own variable.
		settled, p.settled = p.settled, nil
	}
	if do.now {
		interrupt = p.interrupt
	}
	p.mu.Unlock()
	if settled != nil {
		close(settled)
	}
	if interrupt != nil {
		interrupt()
	}
	if do.look {
		p.nudge()
	}
	if do.commit {
		select {
		case p.commitNext <- struct{}{}:
		default: // one token is enough
		}
	}
}

// nudge has the poller look at the core again. One token is enough for any number of
// reasons. It may be called from any goroutine.
func (p *Producer[T]) nudge() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// keys returns the partitions of a client's map as a list.
func keys(partitions map[string][]int32) (list []topicPartition) {
	for topic, numbers := range partitions {
		for _, n := range numbers {
			list = append(list, topicPartition{topic, n})
		}
	}
	return list
}

// byTopic is the reverse of keys.
func byTopic(list []topicPartition) map[string][]int32 {
	partitions := map[string][]int32{}
	for _, key := range list {
		partitions[key.topic] = append(partitions[key.topic], key.partition)
	}
	return partitions
}

// offsets returns heads as the client wants them: by topic, then by partition.
func offsets(heads []head) map[string]map[int32]kgo.EpochOffset {
	all := map[string]map[int32]kgo.EpochOffset{}
	for _, h := range heads {
		if all[h.part.topic] == nil {
			all[h.part.topic] = map[int32]kgo.EpochOffset{}
		}
		all[h.part.topic][h.part.partition] = kgo.EpochOffset{Epoch: h.epoch, Offset: h.offset}
	}
	return all
}
