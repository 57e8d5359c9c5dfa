package dashboard

import (
	"context"
	"strconv"
	"sync"
	"time"
)

// run is the time from the first viewer to the last one. Its goroutine takes snapshots and
// encodes them for all viewers.
type run struct {
	d       *Dashboard
	ctx     context.Context // done when the last viewer has left, or by Stop
	cancel  context.CancelFunc
	viewers int // guarded by Dashboard.mu

	mu    sync.Mutex // guards the rest
	looks []*look
	next  chan struct{} // closed with the next frame
	seq   uint64        // the number of the newest frame, 0: none yet
	at    string        // its time, as JSON
	patch []byte        // its change against the frame before, as an event
	anew  bool          // no viewer can use the patch
	whole []byte        // the state's parts, nil: nobody has needed it yet
}

func newRun(d *Dashboard) *run {
	r := &run{d: d, next: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	for i := range d.parts {
		r.looks = append(r.looks, newLook(d, i))
	}
	return r
}

// loop takes a snapshot at once and then at each interval.
func (r *run) loop() {
	tick := time.NewTicker(r.d.cfg.Interval)
	defer tick.Stop()
	for {
		r.look()
		select {
		case <-tick.C:
		case <-r.ctx.Done():
			return
		}
	}
}

// look takes one snapshot of all parts and makes a frame of it.
func (r *run) look() {
	at := time.Now()
	for _, l := range r.looks {
		l.begin(r.ctx)
	}
	// A stage whose handler runs for long is shown as busy after a part of the time, and
	// the snapshot of a part that takes all of it comes with a later frame.
	limit := time.NewTimer(min(r.d.cfg.Interval/2, 500*time.Millisecond))
	defer limit.Stop()
	for _, l := range r.looks {
		l.await(r.ctx, limit)
	}
	if r.ctx.Err() == nil {
		r.publish(at)
	}
}

// publish encodes what the looks have found, and wakes the viewers.
func (r *run) publish(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = strconv.Quote(at.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	b := make([]byte, 0, len(r.patch)+len(r.patch)/4+256)
	b = append(b, "event: patch\ndata: {\"at\":"...)
	b = append(b, r.at...)
	b = append(b, `,"parts":[`...)
	first := true
	r.anew = false
	for _, l := range r.looks {
		before := len(b)
		if !first {
			b = append(b, ',')
		}
		var changed bool
		if b, changed = l.change(b); changed {
			first = false
		} else {
			b = b[:before]
		}
		r.anew = r.anew || l.flipped
	}
	r.patch = append(b, "]}\n\n"...)
	r.whole = nil
	r.seq++
	close(r.next)
	r.next = make(chan struct{})
}

// frame is what a viewer is sent at one time. The bytes are shared by all viewers.
type frame struct {
	seq   uint64
	fresh bool   // it is another one than the viewer has
	patch []byte // the event, if the viewer has the frame before
	// Otherwise the state:
	head, tail []byte // before and after the value of control
}

// frame sets f to what a viewer that has the frame of seq is to be sent, and returns what
// is closed with the next frame.
func (r *run) frame(seq uint64, f *frame) (next <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*f = frame{seq: r.seq, fresh: r.seq != seq}
	switch {
	case !f.fresh:
	case seq != 0 && seq == r.seq-1 && !r.anew:
		f.patch = r.patch
	default:
		if r.whole == nil {
			r.whole = r.encode(make([]byte, 0, 4*len(r.patch)))
		}
		f.head, f.tail = r.head(), r.whole
	}
	return r.next
}

// head returns the state's fields before control.
func (r *run) head() []byte {
	b := append([]byte(`{"title":`), quote(nil, r.d.cfg.Title)...)
	b = append(append(b, `,"at":`...), r.at...)
	b = append(b, `,"interval_ms":`...)
	b = strconv.AppendInt(b, r.d.cfg.Interval.Milliseconds(), 10)
	return append(b, `,"control":`...)
}

// encode appends the state's parts.
func (r *run) encode(b []byte) []byte {
	b = append(b, `,"parts":[`...)
	for i, l := range r.looks {
		if i > 0 {
			b = append(b, ',')
		}
		b = l.whole(b)
	}
	return append(b, "]}"...)
}

// state appends the state as JSON.
func (f *frame) state(b []byte, control bool) []byte {
	b = append(b, f.head...)
	b = strconv.AppendBool(b, control)
	return append(b, f.tail...)
}

// event returns the frame as a server-sent event.
func (f *frame) event(control bool) []byte {
	if f.patch != nil {
		return f.patch
	}
	b := make([]byte, 0, len(f.head)+len(f.tail)+64)
	b = append(b, "event: state\ndata: "...)
	return append(f.state(b, control), "\n\n"...)
}
