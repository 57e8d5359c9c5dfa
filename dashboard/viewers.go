package dashboard

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// writeTimeout bounds one write to a viewer: one that takes nothing for as long is gone.
const writeTimeout = 10 * time.Second

// The reasons for which there is nothing to see.
var (
	errStopped = errors.New("the dashboard is stopped")
	errFull    = errors.New("there are as many viewers as there may be")
)

// join adds a viewer to the run, which it starts if there is none.
func (d *Dashboard) join() (*run, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, errStopped
	case d.viewers >= d.cfg.MaxViewers:
		return nil, errFull
	}
	if d.run == nil {
		d.run = newRun(d)
		d.goes(d.run.loop)
	}
	d.viewers++
	d.run.viewers++
	return d.run, nil
}

// leave removes a viewer from its run, which ends with its last one.
func (d *Dashboard) leave(r *run) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.viewers--
	if r.viewers--; r.viewers == 0 {
		r.cancel()
		if d.run == r {
			d.run = nil
		}
	}
}

// goes runs f on a goroutine that Close waits for. The caller holds Dashboard.mu.
func (d *Dashboard) goes(f func()) {
	d.running++
	go func() {
		defer d.exit()
		f()
	}()
}

// rest notes that nothing runs any more. The caller holds Dashboard.mu.
func (d *Dashboard) rest() {
	if d.closed && d.running == 0 && !d.idle {
		d.idle = true
		close(d.ended)
	}
}

// view joins, or replies that this is not possible.
func (d *Dashboard) view(w http.ResponseWriter) *run {
	r, err := d.join()
	if err != nil {
		w.Header().Set("Retry-After", "10")
		fail(w, http.StatusServiceUnavailable, err.Error())
		return nil
	}
	return r
}

// serveState replies with the state, of the next snapshot if there is no viewer so far.
func (d *Dashboard) serveState(w http.ResponseWriter, r *http.Request) {
	run := d.view(w)
	if run == nil {
		return
	}
	defer d.leave(run)
	var f frame
	for next := run.frame(0, &f); f.seq == 0; next = run.frame(0, &f) {
		if !run.wait(r.Context(), next) {
			fail(w, http.StatusServiceUnavailable, errStopped.Error())
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(f.state(nil, d.may(r)))
}

// serveEvents sends the state and then what changes, until the viewer leaves.
func (d *Dashboard) serveEvents(w http.ResponseWriter, r *http.Request) {
	run := d.view(w)
	if run == nil {
		return
	}
	defer d.leave(run)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // some proxies gather otherwise
	control, out := d.may(r), http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // where the server sets one, it is not meant for this
	_ = out.SetWriteDeadline(time.Now().Add(d.patience))
	if err := out.Flush(); err != nil {
		return // the writer cannot stream
	}
	var f frame
	for {
		next := run.frame(f.seq, &f)
		if f.fresh {
			_ = out.SetWriteDeadline(time.Now().Add(d.patience)) // some writers have none
			if _, err := w.Write(f.event(control)); err != nil || out.Flush() != nil {
				return
			}
		}
		// With HTTP/2 a deadline that passes ends the stream, although nothing is written.
		_ = out.SetWriteDeadline(time.Time{})
		if !run.wait(r.Context(), next) {
			return
		}
	}
}

// wait waits for the next frame. It returns false if there is none for this viewer.
func (r *run) wait(ctx context.Context, next <-chan struct{}) bool {
	select {
	case <-next:
		return true
	case <-ctx.Done():
	case <-r.ctx.Done():
	}
	return false
}
