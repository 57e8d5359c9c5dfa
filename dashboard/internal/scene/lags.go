package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// partition has the fields of the snapshot of a partition of package producer/kafka that the
// page shows.
type partition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Head      int64  `json:"head"`
	Committed int64  `json:"committed"`
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"`
	InFlight  int    `json:"in_flight"`
	Window    int    `json:"window"`
	Paused    bool   `json:"paused"`
	Held      bool   `json:"held,omitempty"`
	Stopped   bool   `json:"stopped,omitempty"`
}

// lags is a source that looks like one of Kafka: one partition's lag grows, one is paused,
// and one cannot be read.
type lags struct {
	parts []partition
	begun time.Time
	calm  bool
	owed  int
	n     int
	emit  *stage.Emitter[push]
}

func newLags(calm bool) *lags {
	l := &lags{begun: time.Now(), calm: calm}
	for i := range 12 {
		l.parts = append(l.parts, partition{Topic: "orders", Partition: int32(i), Head: 1000, End: 1000})
	}
	return l
}

// HandleStart implements stage.StartHandler.
func (l *lags) HandleStart(_ context.Context, self *stage.Handle) error {
	self.Tick(100 * time.Millisecond)
	return nil
}

// HandleEmitter implements stage.EmitterHandler.
func (l *lags) HandleEmitter(emit *stage.Emitter[push]) { l.emit = emit }

// HandleDemand implements stage.Producer.
func (l *lags) HandleDemand(_ context.Context, n int, _ *stage.Emitter[push]) error {
	l.owed += n
	return nil
}

// HandleTick implements stage.TickHandler.
func (l *lags) HandleTick(context.Context) error {
	for i := 0; i < 30 && l.owed > 0; i++ {
		l.emit.Emit(push{User: "order", N: l.n})
		l.n, l.owed = l.n+1, l.owed-1
	}
	return nil
}

// HandleInspect implements stage.InspectHandler.
func (l *lags) HandleInspect() any {
	age := time.Since(l.begun)
	for i := range l.parts {
		p := &l.parts[i]
		p.Lag = int64(30 + rand.IntN(10))
		switch {
		case l.calm:
		case i == 3:
			p.Lag = 200 + int64(age/time.Millisecond)/20
		case i == 7:
			p.Lag, p.Paused, p.Held = 260, true, true
		case i == 10:
			p.Lag, p.Stopped = 120, true
		}
		p.Head += 25
		p.Committed, p.End = p.Head, p.Head+p.Lag
	}
	return struct {
		Records    int64       `json:"records"`
		Partitions []partition `json:"partitions"`
	}{int64(l.n), append([]partition(nil), l.parts...)}
}
