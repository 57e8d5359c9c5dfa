package dashboard

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// snapshotTime bounds how long a snapshot waits for a stage whose handler is running.
const snapshotTime = 250 * time.Millisecond

// look is what a run has seen of one part.
type look struct {
	d      *Dashboard
	id     string
	part   *Part
	taking *atomic.Bool // a snapshot is under way, of this run or of one before

	// These belong to the run's goroutine.
	found chan any // has the snapshot that was begun
	begun bool     // one of this run is under way
	value any      // that has come and is not encoded, nil: none
	late  bool     // no snapshot came in time

	// These are guarded by run.mu.
	name    string
	shown   bool // late, as viewers know it
	any     bool // there was a snapshot
	isGraph bool // it is in graph, otherwise in plain
	flipped bool // it was in the other one before the last change
	graph   graph
	plain   plain
}

func newLook(d *Dashboard, i int) *look {
	return &look{
		d: d, id: strconv.Itoa(i), part: &d.parts[i], taking: &d.taking[i], name: d.parts[i].Name, found: make(chan any, 1),
		graph: newGraph(d.cfg.MaxItems, d.cfg.MaxList), plain: plain{limit: d.cfg.MaxList},
	}
}

// begin begins a snapshot, unless the last one is still under way, which may be that of a
// run whose viewers have left.
func (l *look) begin(ctx context.Context) {
	if l.begun || !l.taking.CompareAndSwap(false, true) {
		return
	}
	l.begun = true
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	l.d.goes(func() {
		ctx, cancel := context.WithTimeout(ctx, min(l.d.cfg.Interval/4, snapshotTime))
		defer cancel()
		var v any = problem{crash.ErrGoexit.Error()}
		defer func() {
			l.taking.Store(false) // first, since the run may begin the next one then
			l.found <- v
		}()
		v = l.part.take(ctx)
	})
}

// take calls the part's function. A panic is shown in the place of the snapshot.
func (p *Part) take(ctx context.Context) (v any) {
	var err error
	defer func() {
		if err != nil {
			v = problem{err.Error()}
		}
	}()
	defer crash.Catch(&err)
	return p.Snapshot(ctx)
}

// problem is what is shown where there is no snapshot.
type problem struct {
	Error string `json:"error"`
}

// await waits for the snapshot that was begun.
func (l *look) await(ctx context.Context, limit *time.Timer) {
	if !l.begun {
		l.late = true
		return
	}
	select {
	case v := <-l.found:
		l.have(v)
		return
	default:
	}
	select {
	case v := <-l.found:
		l.have(v)
	case <-limit.C:
		limit.Reset(0) // for the other parts as well
		l.late = true
	case <-ctx.Done():
	}
}

func (l *look) have(v any) { l.begun, l.late, l.value = false, false, v }

// change appends the part with what has changed since the last call, and reports whether
// anything has. If it sets flipped, what is appended is not of use to viewers: graph and plain
// compare with what they had last, which was before a snapshot of the other form.
func (l *look) change(b []byte) ([]byte, bool) {
	changed := l.late != l.shown
	l.shown = l.late
	before := l.isGraph
	l.flipped = false
	b = l.open(b)
	if v := l.value; v != nil {
		seen := l.any
		l.value, l.any = nil, true
		var moved bool
		b = append(b, `,"data":`...)
		switch s := v.(type) {
		case pipeline.Snapshot:
			l.name, l.isGraph = s.Name, true
			b, moved = l.graph.pipeline(b, &s)
		case stage.PipelineSnapshot:
			l.isGraph = true
			b, moved = l.graph.stages(b, &s)
		case controlled:
			l.isGraph = true
			b, moved = l.graph.controlled(b, &s)
		default:
			l.isGraph = false
			b, moved = l.plain.set(b, v)
		}
		l.flipped = seen && l.isGraph != before
		changed = changed || moved || l.flipped
	}
	return append(b, '}'), changed
}

// open appends the fields that a part always has, without its end.
func (l *look) open(b []byte) []byte {
	b = append(append(b, `{"id":"`...), l.id...)
	b = append(b, `","late":`...)
	return strconv.AppendBool(b, l.shown)
}

// whole appends all that is known of the part.
func (l *look) whole(b []byte) []byte {
	b = l.open(b)
	b = quote(append(b, `,"kind":`...), l.part.Kind)
	b = quote(append(b, `,"name":`...), l.name)
	switch {
	case !l.any:
	case l.isGraph:
		b = l.graph.whole(append(b, `,"data":`...))
	default:
		b = append(append(b, `,"data":`...), l.plain.data...)
	}
	return append(b, '}')
}
