package lease

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/complain"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// Config is what a source needs besides its store. All fields are required, except for
// DeadLetters, OnPoison and Ordered.
type Config struct {
	Name         string // of the server, for texts: "redis"
	Of           string // what is read, for the log
	Window       int    // leases at most
	FetchMax     int    // items of one Fetch at most
	SettleMax    int    // ends of one Settle at most
	Lease        time.Duration
	Timeout      time.Duration // of one call of the store
	CloseTimeout time.Duration
	Retry        retry.Policy // of calls that fail, with MaxAttempts for those in a row
	Ordered      bool         // the store keeps items back behind others of their key

	DeadLetters deadletter.Sink
	Metrics     metrics.Recorder // of the dead letters
	Meters      Meters
	Logger      *slog.Logger
}

// Meters are the instruments of a source.
type Meters struct {
	Fetched, Failed, Released, Poison, Lost, Settled, Errors metrics.Counter
	Held, Waiting, Oldest                                    metrics.Gauge
}

// Source is a stage.Producer that leases items of a store. It belongs to one stage.
type Source[K comparable, T any] struct {
	cfg   Config
	store Store[K, T]

	// Set by HandleStart, before the other goroutines begin.
	self     *stage.Handle
	fetching context.Context // done when nothing more is to be fetched
	stop     context.CancelFunc
	alive    context.Context // of the calls; done when they must end at once
	abort    context.CancelFunc
	renewing context.Context // done when leases need no renewal any more
	retire   context.CancelFunc
	letters  *deadletter.Writer

	running    sync.WaitGroup // fetcher, settler, renewer, letters
	fetched    chan struct{}  // closed when the fetcher has ended
	settledAll chan struct{}  // closed when the settler has ended
	look       chan struct{}  // has the fetcher look at the core
	kick       chan struct{}  // has the settler look
	tried      chan struct{}  // the renewer has tried
	lines      map[string]*complain.Limit

	mu        sync.Mutex // guards the rest
	core      core[K]
	events    []T                // those of core.ready
	interrupt context.CancelFunc // ends a Wait; nil if there is none
	freed     bool               // items may have become free since the last fetch began
	last      bool               // the settler ends when there are no ends left
	failure   error              // stops the stage
	renewed   time.Time          // before the last renewal that has succeeded
	renewal   error              // of the last attempt
	stats     Snapshot
	trouble   map[string]bool // kinds of calls of which the last one has failed
}

// kinds of calls, for the log and the counts.
const (
	fetchCall  = "fetching"
	settleCall = "settling"
	renewCall  = "renewing leases"
	lagCall    = "measuring lag"
)

// New returns a source of a store. It calls nothing and starts no goroutine; its stage does.
func New[K comparable, T any](store Store[K, T], cfg Config) *Source[K, T] {
	s := &Source[K, T]{
		cfg: cfg, store: store, core: newCore[K](cfg.Window),
		fetched: make(chan struct{}), settledAll: make(chan struct{}),
		look: make(chan struct{}, 1), kick: make(chan struct{}, 1), tried: make(chan struct{}, 1),
		lines: make(map[string]*complain.Limit), trouble: make(map[string]bool),
	}
	for _, kind := range []string{fetchCall, settleCall, renewCall, lagCall, poisonLine, lostLine} {
		s.lines[kind] = new(complain.Limit)
	}
	return s
}

// HandleDemand implements stage.Producer: n items more may be fetched. Nothing is emitted
// here; HandleWake does that when they have come.
func (s *Source[K, T]) HandleDemand(_ context.Context, n int, _ *stage.Emitter[T]) error {
	s.mu.Lock()
	s.core.owed += n
	s.mu.Unlock()
	nudge(s.look)
	return nil
}

// HandleWake implements stage.WakeHandler: it emits what was fetched. The stage numbers the
// events in the order in which they are emitted here, by which HandleReceipts finds them.
func (s *Source[K, T]) HandleWake(_ context.Context, emit *stage.Emitter[T]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := 0
	s.core.emit(func(emitted bool) {
		if emitted {
			emit.Emit(s.events[at])
		}
		at++
	})
	clear(s.events)
	s.events = s.events[:0]
	return s.failure
}

// HandleReceipts implements stage.ReceiptsHandler: it ends leases.
func (s *Source[K, T]) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	s.mu.Lock()
	for _, r := range receipts {
		s.core.receive(r.First, r.Count, r.Outcome, r.Error)
	}
	s.mu.Unlock()
	nudge(s.kick)
	return nil
}

// HandleStalled implements stage.StalledHandler.
func (s *Source[K, T]) HandleStalled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.stalled(s.cfg.Ordered)
}

// HandleInspect implements stage.InspectHandler: it returns the [Snapshot].
func (s *Source[K, T]) HandleInspect() any { return s.Snapshot() }

// nudge leaves a token in ch. One is enough for any number of reasons.
func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
