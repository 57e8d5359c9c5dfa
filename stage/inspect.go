package stage

import "github.com/penstock-go/penstock/internal/crash"

// InspectHandler is a handler, or a dispatcher, that reports its own state in the
// [Snapshot] of its stage.
type InspectHandler interface {
	// HandleInspect returns the state: a value that is a copy and that
	// encoding/json can write. It is called on the stage's goroutine, for a
	// snapshot and once when the stage has stopped. A panic is reported in place of
	// the state and does not stop the stage.
	HandleInspect() any
}

// InspectError is in a [Snapshot] in place of the state of a handler or dispatcher
// whose HandleInspect panicked.
type InspectError struct {
	Message string `json:"error"`
}

// Error implements error.
func (e *InspectError) Error() string { return "inspect: " + e.Message }

// inspect adds what the handler and the dispatcher report.
func (e *engine[In, Out]) inspect(s *Snapshot) {
	if f := e.do.Inspect; f != nil && e.start >= greeted {
		s.Handler = e.inspected(f)
	}
	if e.out == nil {
		return
	}
	if h, ok := e.out.disp.(InspectHandler); ok {
		s.Dispatcher = e.inspected(h.HandleInspect)
	}
}

func (e *engine[In, Out]) inspected(f func() any) (state any) {
	defer func() {
		if p := recover(); p != nil {
			err := crash.Of(p)
			e.log.Error("HandleInspect panicked", "stage", e.name, "error", err)
			state = &InspectError{err.Error()}
		}
	}()
	return f()
}
