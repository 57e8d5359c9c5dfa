package producer

import (
	"context"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// DefaultTickerEvery is the interval of a [Ticker] without one.
const DefaultTickerEvery = time.Second

// TickerConfig configures [NewTicker]. The zero value is useful.
type TickerConfig struct {
	// Every is the time between two events, 1 ms or more. Default: 1 s.
	Every time.Duration
}

// Ticker is a source of the time, at an interval. It implements stage.Producer.
//
// The first event comes one interval after the start. Ticks for which there is no demand
// become one event, with the time of the last of them, as soon as there is demand: a
// consumer that is late does not have to catch up. A drain ends the stage.
type Ticker struct {
	every time.Duration
	emit  *stage.Emitter[time.Time]

	// These belong to the stage's goroutine.
	owed          int
	missed        time.Time // the last tick without demand, zero if there is none
	ticks, merged int64
}

// TickerSnapshot is the Handler of the snapshot of a ticker's stage.
type TickerSnapshot struct {
	// Ticks is the number of ticks since the start, and Merged how many of them had no event of
	// their own.
	Ticks  int64 `json:"ticks"`
	Merged int64 `json:"merged"`
}

// NewTicker makes a source of the time. The error is an [*OptionError].
func NewTicker(cfg TickerConfig) (*Ticker, error) {
	option.Default(&cfg.Every, DefaultTickerEvery)
	if err := option.AtLeast("producer.Ticker", "Every", cfg.Every, time.Millisecond); err != nil {
		return nil, err
	}
	return &Ticker{every: cfg.Every}, nil
}

// HandleEmitter implements stage.EmitterHandler.
func (t *Ticker) HandleEmitter(emit *stage.Emitter[time.Time]) { t.emit = emit }

// HandleStart implements stage.StartHandler.
func (t *Ticker) HandleStart(_ context.Context, self *stage.Handle) error {
	self.Tick(t.every)
	return nil
}

// HandleDemand implements stage.Producer.
func (t *Ticker) HandleDemand(_ context.Context, n int, emit *stage.Emitter[time.Time]) error {
	t.owed += n
	if !t.missed.IsZero() {
		t.owed--
		emit.Emit(t.missed)
		t.missed = time.Time{}
	}
	return nil
}

// HandleTick implements stage.TickHandler.
func (t *Ticker) HandleTick(context.Context) error {
	now := time.Now()
	t.ticks++
	if t.owed > 0 {
		t.owed--
		t.emit.Emit(now)
		return nil
	}
	if !t.missed.IsZero() {
		t.merged++
	}
	t.missed = now
	return nil
}

// HandleInspect implements stage.InspectHandler.
func (t *Ticker) HandleInspect() any { return TickerSnapshot{Ticks: t.ticks, Merged: t.merged} }
