package delivery

import (
	"sync"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// inbox is how other goroutines reach the stage's: those that write to sockets,
// and those in which clients join and leave. The stage is woken once for any
// number of entries.
type inbox[T any] struct {
	mu      sync.Mutex
	wake    func() // sends the stage a message; set by open, never called with mu held
	reports []reported[T]
	changed []*line[T]
	awake   bool // the stage's goroutine looks into the inbox, or was woken, or does not run yet
	closed  bool // the stage has ended
}

// reported is a flight with its report.
type reported[T any] struct {
	flight *flight[T]
	report websocket.Report
}

// open begins the wakes, by wake. Before it nothing but tick is called.
func (in *inbox[T]) open(wake func()) {
	in.mu.Lock()
	in.wake, in.awake = wake, false
	in.mu.Unlock()
}

// report is the report of a flight. It may be called with locks of a channel
// held.
func (in *inbox[T]) report(f *flight[T], r websocket.Report) {
	in.mu.Lock()
	if !in.closed {
		in.reports = append(in.reports, reported[T]{f, r})
	}
	in.rouse()
}

// change notes that the topic of a line has changed.
func (in *inbox[T]) change(l *line[T]) {
	in.mu.Lock()
	if !in.closed && !l.noted {
		l.noted = true
		in.changed = append(in.changed, l)
	}
	in.rouse()
}

// tick makes the stage look at the time. It runs in the timer's goroutine.
func (in *inbox[T]) tick() {
	in.mu.Lock()
	in.rouse()
}

// rouse wakes the stage unless it is awake. The caller holds the mutex, which rouse
// unlocks.
func (in *inbox[T]) rouse() {
	wake := !in.awake && !in.closed
	in.awake = in.awake || wake
	in.mu.Unlock()
	if wake {
		in.wake()
	}
}

// stayAwake suppresses further wakes while the stage is at work: it looks into the
// inbox before it returns.
func (in *inbox[T]) stayAwake() {
	in.mu.Lock()
	in.awake = true
	in.mu.Unlock()
}

// take returns the entries and keeps the given empty slices for the next ones. If
// there are none and sleep is set, the next entry wakes the stage. The stage's
// goroutine calls it.
func (in *inbox[T]) take(reports []reported[T], changed []*line[T], sleep bool) ([]reported[T], []*line[T]) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.reports) == 0 && len(in.changed) == 0 {
		in.awake = !sleep
		return reports, changed
	}
	reports, in.reports = in.reports, reports
	changed, in.changed = in.changed, changed
	for _, l := range changed {
		l.noted = false
	}
	return reports, changed
}

// close drops what is in the inbox and what comes later: the stage has ended,
// and gives no more receipts.
func (in *inbox[T]) close() {
	in.mu.Lock()
	in.closed = true
	in.reports, in.changed = nil, nil
	in.mu.Unlock()
}
