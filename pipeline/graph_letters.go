package pipeline

import (
	"context"
	"reflect"
	"sync"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
)

// place returns what the handler of the step needs to know. own is the dead-letter sink of
// the step, nil for the pipeline's. It is called by make, once for each life of the stage.
func (n *node) place(own deadletter.Sink) (stepPlace, error) {
	at := stepPlace{
		pipeline: n.p.cfg.Name, stage: n.name, stopTimeout: n.p.cfg.StopTimeout, wary: n.wary.Load(), logger: n.log, metrics: n.p.cfg.Metrics,
	}
	option.Default(&at.metrics, metrics.Nop())
	if own == nil {
		own = n.p.cfg.DeadLetters
	}
	if own == nil {
		return at, nil
	}
	if n.writer == nil {
		w, err := n.p.offices.open(own, deadletter.WriterConfig{Stage: n.name, Metrics: n.p.cfg.Metrics, Logger: n.log})
		if err != nil {
			return at, err
		}
		n.writer = w
	}
	at.letters = n.writer
	return at, nil
}

// offices are the writers of dead letters of a pipeline: one for each step, over all lives
// of its stage. Steps with the same sink take turns, since a sink is called by one
// goroutine at a time.
type offices struct {
	mu      sync.Mutex // guards the rest; not held while a writer is closed
	sinks   []*sharedSink
	writers map[*deadletter.Writer]bool // those that were not closed
}

// open starts a writer.
func (o *offices) open(sink deadletter.Sink, cfg deadletter.WriterConfig) (*deadletter.Writer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w, err := deadletter.NewWriter(o.shared(sink), cfg)
	if err != nil {
		return nil, err
	}
	if o.writers == nil {
		o.writers = make(map[*deadletter.Writer]bool)
	}
	o.writers[w] = true
	go func() { _ = w.Run(context.Background()) }() // until close; it logs what it leaves
	return w, nil
}

// shared returns the sink with its turns. The caller holds the lock.
func (o *offices) shared(sink deadletter.Sink) *sharedSink {
	comparable := reflect.TypeOf(sink).Comparable()
	for _, s := range o.sinks {
		if comparable && reflect.TypeOf(s.sink) == reflect.TypeOf(sink) && s.sink == sink {
			return s
		}
	}
	s := &sharedSink{sink: sink, turn: make(chan struct{}, 1)}
	o.sinks = append(o.sinks, s)
	return s
}

// close ends a writer, whose stage has ended, when it has stored what it has or ctx is done.
func (o *offices) close(ctx context.Context, w *deadletter.Writer) {
	o.mu.Lock()
	known := o.writers[w]
	delete(o.writers, w)
	o.mu.Unlock()
	if known {
		_ = w.Close(ctx)
	}
}

// closeAll ends all writers.
func (o *offices) closeAll(ctx context.Context) {
	o.mu.Lock()
	var left []*deadletter.Writer
	for w := range o.writers {
		left = append(left, w)
	}
	o.mu.Unlock()
	for _, w := range left {
		o.close(ctx, w)
	}
}

// sharedSink is a sink of several steps, which take turns.
type sharedSink struct {
	sink deadletter.Sink
	turn chan struct{} // holds a token while one step writes; a channel, so that waiting can be given up
}

// Write implements deadletter.Sink.
func (s *sharedSink) Write(ctx context.Context, letters []deadletter.Letter) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
	return s.sink.Write(ctx, letters)
}
