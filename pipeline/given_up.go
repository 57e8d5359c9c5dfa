package pipeline

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/complain"
)

// givenUp takes the events of a source over which steps have died again after they were
// made anew: they are delivered no more, so that one event does not end one stage after the
// other. Sources without receipts do not have them again.
type givenUp struct {
	n     *node
	lines complain.Limit

	once   sync.Once
	writer *deadletter.Writer // nil without a sink
}

// diedOf makes all errors one type, for an atomic.Value.
type diedOf struct{ error }

// take stores a letter of the event, if there is a sink. It runs on the source's goroutine.
func (g *givenUp) take(l deadletter.Letter) {
	p := g.n.p
	if p.ending.Load() {
		return // a step that dies now is not made anew, and Run returns its error
	}
	g.once.Do(g.open)
	g.lines.Log(g.n.log, slog.LevelError, "an event was given up: steps have died over it again after they were made anew",
		"pipeline", p.cfg.Name, "step", g.n.name, "dead_letter", g.writer != nil)
	if g.writer == nil {
		return
	}
	l.Pipeline, l.Stage, l.Attempts = p.cfg.Name, g.n.name, 2
	l.First, l.Last = time.Now(), time.Now()
	l.Error = "steps have died over the event"
	if died, ok := p.died.Load().(diedOf); ok {
		l.Error = fmt.Sprintf("steps have died over the event, the last one with: %v", died.error)
	}
	g.writer.Send(l, nil)
}

func (g *givenUp) open() {
	p := g.n.p
	if p.cfg.DeadLetters == nil {
		return
	}
	w, err := p.offices.open(p.cfg.DeadLetters, deadletter.WriterConfig{Stage: g.n.name, Metrics: p.cfg.Metrics, Logger: g.n.log})
	if err != nil {
		g.n.log.Error("dead letters cannot be written", "pipeline", p.cfg.Name, "step", g.n.name, "error", err)
		return
	}
	g.writer = w
}
