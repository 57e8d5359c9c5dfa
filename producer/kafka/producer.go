package kafka

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// Producer is a member of a consumer group as a stage.Producer. Make one with
// [NewProducer] and pass it to stage.NewProducer, best with BufferSize:
// stage.Unlimited: events emitted without demand are bounded by the demand
// that there was before, and must not be discarded.
//
// Three goroutines touch it besides the stage's: the poller, the committer and
// the client's, which calls back on rebalances. mu guards what they share and
// is never held over a call to the client or to the user's functions.
type Producer[T any] struct {
	cfg    Config[T]
	meters meters

	client     *kgo.Client
	wake       func()          // makes the stage call HandleWake
	polling    context.Context // done when nothing more may be polled
	stopPoll   context.CancelFunc
	hard       context.Context // done when no receipts will come any more
	abort      context.CancelFunc
	alive      context.Context // the client's; done when it must end at once
	abandon    context.CancelFunc
	committing context.Context // done when regular commits end
	giveUp     context.CancelFunc
	commitStop chan struct{}
	running    sync.WaitGroup // poller and committer
	kick       chan struct{}  // makes the poller look again
	commitSlot chan struct{}  // held while committing or moving offsets
	batch      []decoded[T]   // the poller's, used again

	mu        sync.Mutex
	parts     map[topicPartition]*partition
	epochs    uint64
	owed      int           // demand that has not been emitted yet
	ready     []item[T]     // polled and not emitted
	spare     []item[T]     // the other slice of the two that take turns
	flights   ring.Ring[in] // emitted, from the oldest without a receipt on
	landed    uint64        // the stage's number of the first of flights
	interrupt context.CancelFunc
	steering  bool // a partition must be paused, resumed or read again
	inSession bool // between the beginning and the end of a session of the group
	draining  bool
	closing   context.Context // bounds the end; nil before
	fatal     error
	stats     counts
}

// item is an event that waits to be emitted.
type item[T any] struct {
	event  T
	part   *partition
	offset int64
}

// in is an event in flight; part is nil once it has its receipt.
type in struct {
	part   *partition
	offset int64
}

// NewProducer makes a producer. It opens nothing and starts no goroutine; its
// stage does. An error is an [*OptionError].
func NewProducer[T any](cfg Config[T]) (*Producer[T], error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Producer[T]{
		cfg:        cfg,
		meters:     newMeters(cfg.Metrics),
		commitStop: make(chan struct{}),
		kick:       make(chan struct{}, 1),
		commitSlot: make(chan struct{}, 1),
		parts:      make(map[topicPartition]*partition),
	}, nil
}

// HandleDemand lets the poller poll for n more records.
func (p *Producer[T]) HandleDemand(_ context.Context, n int, _ *stage.Emitter[T]) error {
	p.mu.Lock()
	p.owed += n
	p.mu.Unlock()
	p.nudge()
	return nil
}

// HandleWake emits polled events.
func (p *Producer[T]) HandleWake(_ context.Context, emit *stage.Emitter[T]) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	skipped := false
	for i := range p.ready {
		it := &p.ready[i]
		if it.part.leaving || it.part.rewind {
			skipped = true // it will be read again, here or elsewhere
			continue
		}
		emit.Emit(it.event)
		p.flights.Push(in{it.part, it.offset})
		it.part.inFlight++
		p.owed--
	}
	clear(p.ready)
	p.ready, p.spare = p.spare[:0], p.ready
	if skipped {
		p.nudge()
	}
	return p.fatal
}

// HandleReceipts finishes records.
func (p *Producer[T]) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range receipts {
		for seq := range r.Seqs() {
			at := seq - p.landed
			if at >= uint64(p.flights.Len()) {
				continue
			}
			f := p.flights.At(int(at))
			if f.part == nil {
				continue
			}
			p.receive(f.part, f.offset, r.Outcome)
			f.part = nil
		}
	}
	for p.flights.Len() > 0 && p.flights.At(0).part == nil {
		p.flights.Drop(1)
		p.landed++
	}
	return nil
}

// receive takes one receipt. mu is held.
func (p *Producer[T]) receive(part *partition, offset int64, outcome receipt.Outcome) {
	if outcome == receipt.Abandoned {
		p.stats.Abandoned++
		p.meters.abandoned.Add(1)
		part.rewind = true
	} else {
		part.tracker.finish(offset)
	}
	part.landed()
	p.relax(part)
}

// relax makes the poller look after part if it may continue. mu is held.
func (p *Producer[T]) relax(part *partition) {
	resume := part.paused && part.tracker.window() <= p.cfg.Window/2
	rewind := part.rewind && part.inFlight == 0
	if (resume || rewind) && !part.leaving {
		p.steer()
	}
}

// nudge makes the poller look again.
func (p *Producer[T]) nudge() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// steer makes the poller look after partitions, even if it is waiting for records.
// mu is held.
func (p *Producer[T]) steer() {
	p.steering = true
	if p.interrupt != nil {
		p.interrupt()
	}
	p.nudge()
}
