package stage

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// ErrShared refuses to start a stage whose handler or dispatcher another stage is
// running: calls of it would overlap.
var ErrShared = errors.New("used by another stage")

// running holds the handlers and dispatchers of the stages that run, by pointer.
var running sync.Map

// occupy keeps the stage's handler and dispatcher for it until vacate. It returns an
// error that wraps ErrShared if another stage runs one of them. Only pointers to
// something are compared: others are values.
func (e *engine[In, Out]) occupy() error {
	handler := identity(e.handler)
	if !keep(handler) {
		return fmt.Errorf("stage %q: start: handler: %w", e.name, ErrShared)
	}
	if d := e.dispatcher(); d != handler && !keep(d) {
		running.Delete(handler)
		return fmt.Errorf("stage %q: start: dispatcher: %w", e.name, ErrShared)
	}
	return nil
}

// vacate releases what occupy has kept.
func (e *engine[In, Out]) vacate() {
	handler := identity(e.handler)
	running.Delete(handler)
	running.Delete(e.dispatcher())
}

func (e *engine[In, Out]) dispatcher() (key any) {
	if e.out == nil {
		return nil
	}
	return identity(e.out.disp)
}

// keep reports whether key is nil or new among the running ones.
func keep(key any) bool {
	if key == nil {
		return true
	}
	_, taken := running.LoadOrStore(key, struct{}{})
	return !taken
}

// identity returns a pointer to something, and nil for any other value.
func identity(value any) (key any) {
	t := reflect.TypeOf(value)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Size() == 0 {
		return nil
	}
	return value
}
