package deadletter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/pace"
	"github.com/penstock-go/penstock/retry"
)

// The errors of a Writer. Test for them with errors.Is.
var (
	// ErrNotStored is returned by Run and Close when letters were not stored.
	ErrNotStored = errors.New("dead letters were not stored")
	// ErrHung is returned by Close, with ErrNotStored, when the sink's Write does not return
	// although its context is done: the goroutine of Run still runs.
	ErrHung = errors.New("the sink's Write does not return")
	// ErrSecondRun is returned by Run when it was called before.
	ErrSecondRun = errors.New("the writer runs, or has run")
)

// grace is how long Close waits for a write whose context it has cancelled.
const grace = time.Second

// Writer writes letters to a [Sink] in order, in batches, until they are stored. A
// batch is what has gathered while the write before it was under way: a single letter
// waits for nothing, and many letters share a write.
//
// A write that fails or panics is repeated with growing pauses until it succeeds. The
// letters behind it wait in memory, without bound: their events have no receipt yet, so
// that what the stage may have unfinished bounds their number.
type Writer struct {
	sink   Sink
	cfg    WriterConfig
	retry  retry.Policy
	meters meters
	epoch  time.Time     // the start of the log's clock
	kick   chan struct{} // holds a token when there is something to look at
	ended  chan struct{} // closed when Run has returned

	// The rest of this group belongs to Run's goroutine.
	letters []Letter // of the batch, used again
	dones   []func()

	mu      sync.Mutex // guards the rest; nothing else is called with mu held
	line    line
	running bool
	closing bool               // no more letters are expected
	abort   context.CancelFunc // ends Run
	late    pace.Limiter
	failing int   // attempts that have failed since the last success
	failed  int64 // all of them
	last    error // of the last failed write
}

// NewWriter returns a writer to sink. It writes while Run runs. An error is an
// [*OptionError].
func NewWriter(sink Sink, cfg WriterConfig) (*Writer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(sink); err != nil {
		return nil, err
	}
	return &Writer{
		sink: sink, cfg: cfg, retry: cfg.policy().WithDefaults(), meters: newMeters(cfg.Metrics, cfg.Stage),
		epoch: time.Now(), kick: make(chan struct{}, 1), ended: make(chan struct{}),
	}, nil
}

// Send hands a letter over, from any goroutine, and never blocks. done, which may be
// nil, is called once when the letter is durable, on the goroutine of Run; it must not
// block. It is not called if the writer ends before that, or has ended.
func (w *Writer) Send(letter Letter, done func()) {
	w.mu.Lock()
	late := 0
	if !w.line.send(entry{letter, done}) {
		late = w.late.Line(time.Since(w.epoch), 1)
	}
	w.mu.Unlock()
	if late > 0 {
		w.cfg.Logger.Error("dead letters came after the end of their writer and were not stored", "stage", w.cfg.Stage, "letters", late)
	}
	w.nudge()
}

// nudge has Run look again. One token is enough for any number of reasons.
func (w *Writer) nudge() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Run writes letters until ctx is done, or until Close was called and nothing waits any
// more. It may be called once. The error wraps [ErrNotStored] if letters were left.
func (w *Writer) Run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.mu.Lock()
	running, over := w.running, w.line.ended
	if !running {
		w.running, w.abort = true, cancel
	}
	w.mu.Unlock()
	switch {
	case running:
		return ErrSecondRun
	case over:
		return nil // Close came before
	}
	// Deferred, since the sink may end the goroutine.
	defer func() {
		err = w.end()
		close(w.ended)
	}()
	p := patience{cfg: &w.cfg, epoch: w.epoch}
	for w.next(ctx) && w.write(ctx, &p) {
		w.finish()
	}
	p.rest()
	return nil
}

// next waits for letters and takes a batch of them. It returns false at the end.
func (w *Writer) next(ctx context.Context) bool {
	for {
		w.mu.Lock()
		for _, e := range w.line.take(w.cfg.MaxBatch) {
			w.letters = append(w.letters, e.letter)
			w.dones = append(w.dones, e.done)
		}
		closing, waiting := w.closing, w.line.waiting()
		w.mu.Unlock()
		w.meters.waiting.Set(float64(waiting))
		switch {
		case ctx.Err() != nil:
			return false
		case len(w.letters) > 0:
			return true
		case closing:
			return false
		}
		select {
		case <-w.kick:
		case <-ctx.Done():
			return false
		}
	}
}

// write writes the batch until it is stored. It returns false if ctx is done before.
func (w *Writer) write(ctx context.Context, p *patience) bool {
	for attempt := 1; ; attempt++ {
		err := w.once(ctx)
		w.mu.Lock()
		waiting := w.line.waiting()
		if err == nil {
			w.failing = 0
		} else {
			w.failing++
			w.failed++
			w.last = err
		}
		w.mu.Unlock()
		if err == nil {
			p.over()
			return true
		}
		w.meters.errors.Add(1)
		w.meters.waiting.Set(float64(waiting))
		if ctx.Err() != nil {
			return false // end logs it
		}
		p.failed(err, attempt, waiting)
		pause, again, _ := w.retry.Next(attempt, err)
		if !again {
			pause = w.retry.MaxBackoff // an error marked with retry.Never is no end either
		}
		if !sleep(ctx, pause) {
			return false
		}
	}
}

// finish notes the batch as stored and calls the functions of its letters.
func (w *Writer) finish() {
	n := len(w.letters)
	w.mu.Lock()
	w.line.store()
	w.mu.Unlock()
	w.meters.stored.Add(int64(n))
	for _, done := range w.dones {
		if done != nil {
			w.call(done)
		}
	}
	clear(w.letters)
	clear(w.dones)
	w.letters, w.dones = w.letters[:0], w.dones[:0]
}

// end counts and logs what was not stored, when Run ends.
func (w *Writer) end() error {
	w.mu.Lock()
	left, last := w.line.end(), w.last
	w.mu.Unlock()
	w.meters.end()
	return w.report(left, last)
}

// report logs that letters were left, if any were, and returns the error that says so.
func (w *Writer) report(left int, last error) error {
	if left == 0 {
		return nil
	}
	w.cfg.Logger.Error("dead letters were not stored; their events have no receipt", "stage", w.cfg.Stage, "letters", left, "error", last)
	if last == nil {
		return fmt.Errorf("%d %w", left, ErrNotStored)
	}
	return fmt.Errorf("%d %w: %w", left, ErrNotStored, last)
}

// Close has Run write what waits and return, and waits for it. When ctx is done before,
// the write under way is cancelled, and what is not stored is left: the error wraps
// [ErrNotStored]. A writer that was not run by then only ends.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closing = true
	idle := !w.running && w.line.waiting() == 0
	w.mu.Unlock()
	w.nudge()
	if !idle {
		select {
		case <-w.ended:
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	abort, left := w.abort, 0
	if abort == nil {
		// Under the lock: Run must not begin in between.
		left = w.line.end()
	}
	w.mu.Unlock()
	if abort == nil {
		_ = w.report(left, nil) // the same error is returned below
	} else {
		abort()
		limit := time.NewTimer(grace)
		defer limit.Stop()
		select {
		case <-w.ended:
		case <-limit.C:
			return fmt.Errorf("%w %v after its context was done: %w", ErrHung, grace, ErrNotStored)
		}
	}
	w.mu.Lock()
	all := w.line.left
	w.mu.Unlock()
	if all > 0 {
		return fmt.Errorf("%d %w", all, ErrNotStored)
	}
	return nil
}

// WriterSnapshot is what has become of the letters of a writer. At every moment Sent is
// Stored + Waiting + Left.
type WriterSnapshot struct {
	// Sent, Stored and Left count letters since the start: all, those that are durable,
	// and those that were not when the writer ended or came later.
	Sent   int64 `json:"sent"`
	Stored int64 `json:"stored"`
	Left   int64 `json:"left"`
	// Waiting is the number of letters that are not stored yet.
	Waiting int `json:"waiting"`
	// Errors is the number of failed writes since the start, and Failing that of those
	// since the last one that succeeded.
	Errors  int64 `json:"errors"`
	Failing int   `json:"failing"`
	// LastError is the latest failure, "" if there has been none.
	LastError string `json:"last_error,omitempty"`
}

// Snapshot returns the figures at this moment, from any goroutine.
func (w *Writer) Snapshot() WriterSnapshot {
	w.mu.Lock()
	l := &w.line
	s := WriterSnapshot{
		Sent: l.sent, Stored: l.stored, Left: l.left, Waiting: l.waiting(), Errors: w.failed, Failing: w.failing,
	}
	last := w.last
	w.mu.Unlock()
	if last != nil {
		s.LastError = last.Error()
	}
	return s
}
