package websocket

import (
	"sync"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// hungs counts what the application does not return from: methods of handlers and
// tasks that run five seconds after their channel should have ended, and calls of
// Connect and Renew whose context has ended. Each keeps a goroutine, and a client
// that joins or connects again makes the next. The mutex is a leaf.
type hungs struct {
	limit int // of all
	gauge metrics.Gauge

	mu   sync.Mutex
	n    int
	byID map[string]int // of socket ids that are not ""
}

// add counts one more of a socket id and returns how many there are.
func (h *hungs) add(id string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	if id != "" {
		if h.byID == nil {
			h.byID = make(map[string]int)
		}
		h.byID[id]++
	}
	h.gauge.Set(float64(h.n)) // under the lock, so that the last value is the true one
	return h.n
}

// remove counts one less.
func (h *hungs) remove(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n--
	if id != "" {
		if h.byID[id]--; h.byID[id] == 0 {
			delete(h.byID, id)
		}
	}
	h.gauge.Set(float64(h.n))
}

// count returns how many there are.
func (h *hungs) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

// full reports whether no more calls may be made for a socket id, of which most may
// hang.
func (h *hungs) full(id string, most int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n >= h.limit || h.byID[id] >= most
}

// watchEnd counts the channel as hung if it is not over after the grace time. The
// mutex is held.
func (ch *Channel) watchEnd() {
	r := ch.more()
	if r.late != nil {
		r.late.Stop()
	}
	r.late = time.AfterFunc(grace, ch.hang)
}

// hang counts and logs a channel that does not come to its end.
func (ch *Channel) hang() {
	ch.mu.Lock()
	r := ch.more()
	if r.hung || ch.state == over && r.tasks == 0 {
		ch.mu.Unlock()
		return
	}
	r.hung = true
	tasks := r.tasks
	// With the mutex held, so that unhang comes later.
	n := ch.sess.endpoint().hung.add(ch.sess.id)
	ch.mu.Unlock()
	ch.sess.endpoint().log.Warn("handler hangs", "socket", ch.sess.mount.kind.name, "channel", ch.route.pattern,
		"topic", clip(ch.topic), "handler", ch.task().String(), "tasks", tasks, "hung", n)
}

// unhang notes that a channel has come to its end, tasks included. The mutex is held.
func (ch *Channel) unhang() {
	if ch.rare != nil && ch.rare.hung {
		ch.rare.hung = false
		ch.sess.endpoint().hung.remove(ch.sess.id)
	}
}
