package stage

import (
	"context"
	"time"
)

// TickHandler is a handler that does something at an interval, which it sets with
// [Handle.Tick].
type TickHandler interface {
	// HandleTick is called when the interval has passed. Ticks that were missed
	// meanwhile are left out: the next one comes at the next multiple of the
	// interval. It is called in a drain too, until the stage emits nothing more. A
	// producer or producer-consumer emits with the emitter of HandleEmitter.
	HandleTick(ctx context.Context) error
}

// Tick makes the stage call HandleTick at an interval, from the time of the call on; an
// earlier interval is over with it. 0 or less ends the ticks, as does the end of the
// stage.
func (h *Handle) Tick(every time.Duration) { h.post(mailEvery, every) }

// WakeAt makes the stage call HandleWake at t, and not at the time of an earlier call that
// has not come yet. The zero time takes an earlier call back. HandleWake may also be called
// before t for another reason.
func (h *Handle) WakeAt(t time.Time) { h.post(mailWakeAt, t) }

// timers are those of a stage. They belong to its goroutine; when one has fired it posts a
// mail or pokes the stage, which does nothing once the stage has stopped.
type timers struct {
	every  time.Duration
	due    time.Time // the next tick
	period int       // the number of this interval: ticks of earlier ones are ignored
	ticker *time.Timer
	waker  *time.Timer
}

// stop stops the timers for good.
func (t *timers) stop() {
	if t.ticker != nil {
		t.ticker.Stop()
	}
	if t.waker != nil {
		t.waker.Stop()
	}
}

// tickEvery begins an interval. The timer of the one before may have fired already, so
// each has a number.
func (e *engine[In, Out]) tickEvery(every time.Duration) {
	t := &e.timers
	if t.ticker != nil {
		t.ticker.Stop()
	}
	t.period++
	switch {
	case every <= 0 || e.isDry():
		return
	case e.do.Tick == nil:
		e.log.Warn("tick ignored: the handler has no HandleTick", "stage", e.name, "every", every)
		return
	}
	period := t.period
	t.every, t.due = every, time.Now().Add(every)
	t.ticker = time.AfterFunc(every, func() { e.box.Post(mail[In, Out]{kind: mailTick, n: period}) })
}

// tick calls HandleTick and sets the timer for the next tick. It is set here, and not when
// it has fired, so that no tick waits behind another.
func (e *engine[In, Out]) tick(period int) {
	t := &e.timers
	if period != t.period || e.isDry() {
		return
	}
	e.running = "HandleTick"
	e.check(e.do.Tick(e.ctx))
	e.stirred()
	if e.isDry() {
		return
	}
	now := time.Now()
	t.due = t.due.Add(t.every)
	if late := now.Sub(t.due); late >= 0 {
		t.due = t.due.Add((late/t.every + 1) * t.every)
	}
	t.ticker.Reset(t.due.Sub(now))
}

// wakeAt sets the time at which the stage is poked.
func (e *engine[In, Out]) wakeAt(at time.Time) {
	t := &e.timers
	if t.waker != nil {
		t.waker.Stop()
	}
	switch {
	case at.IsZero() || e.isDry():
	case t.waker == nil:
		t.waker = time.AfterFunc(time.Until(at), e.box.Poke)
	default:
		t.waker.Reset(time.Until(at))
	}
}
