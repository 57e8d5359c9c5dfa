package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// modelRun is one run of a random pipeline.
type modelRun struct {
	t       *testing.T
	seed    uint64
	p       *pipeline.Pipeline
	logger  *slog.Logger
	calm    bool // no event fails
	strict  bool // a step ends the pipeline with its first failure
	thinned bool // a branch was removed
	lossy   bool // a step was drained, and removing its branch may be refused
	// lastBranch reports that all others have ended of the branch that was removed last.
	lastBranch bool
	restart    pipeline.Restart
	patience   time.Duration // of a drain
	sinkDown   time.Time     // until when the dead-letter sink fails
	sources    []*modelSource
	branches   []*modelBranches
	ended      chan struct{}

	mu         sync.Mutex // guards what follows, and what others say is guarded by it
	nodes      []*modelNode
	mortal     []*modelNode
	doomed     map[*modelNode]int // how often each is to fail
	crashed    []time.Time        // when something has died or was told to restart
	places     int
	disordered bool // a batch step was resized: with several workers it keeps no order
	shape      []string
	got        map[string]int // how often each label was handled
	tries      map[string]int
	letters    map[string]int
	newest     map[string][]int // ids in an order's domain, in which they were handled
	progress   time.Time
	ends       time.Time    // when the first source has ended
	late       map[int]bool // abandoned events
	left       bool         // a branch that was removed has left what it had

	faultMu sync.Mutex
	faults  []string
	lines   []string // of the log and of what was done
}

func (r *modelRun) fault(format string, args ...any) {
	r.faultMu.Lock()
	defer r.faultMu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *modelRun) say(what string) { r.shape = append(r.shape, what) }

// line notes something that has happened, for people.
func (r *modelRun) line(format string, args ...any) {
	r.faultMu.Lock()
	defer r.faultMu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf("%v ", time.Since(modelEpoch))+fmt.Sprintf(format, args...))
}

// trace is line for what concerns one event, if PENSTOCK_EVENT names it.
func (r *modelRun) trace(id int, format string, args ...any) {
	if id == modelTraced {
		r.line(format, args...)
	}
}

var modelTraced = func() int {
	if id, err := strconv.Atoi(os.Getenv("PENSTOCK_EVENT")); err == nil {
		return id
	}
	return -1
}()

// modelEpoch is when the time in a bubble begins.
var modelEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// moved notes that the pipeline does something.
func (r *modelRun) moved() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress = time.Now()
}

func (r *modelRun) noteAbandoned(id int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late[id] = true
}

// ending notes that a source ends: from now on what dies is not made anew.
func (r *modelRun) ending() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ends.IsZero() {
		r.ends = time.Now()
	}
}

func (r *modelRun) mayCrash(n *modelNode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mortal = append(r.mortal, n)
}

// crashes makes a stage fail that is to.
func (r *modelRun) crashes(n *modelNode) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.doomed[n] == 0 {
		return nil
	}
	r.doomed[n]--
	r.crashed = append(r.crashed, time.Now())
	r.line("%s crashes", n.name)
	if r.doomed[n]%2 == 0 {
		panic(errModelCrash)
	}
	return errModelCrash
}

// attempt is one at an event in a step.
func (r *modelRun) attempt(ctx context.Context, n *modelNode, v item) ([]item, error) {
	f, label := n.fate(v), n.label(v)
	r.mu.Lock()
	r.progress = time.Now()
	r.tries[label]++
	try := r.tries[label]
	if n.strict && f.failed {
		r.crashed = append(r.crashed, time.Now()) // its step ends with it
	}
	r.mu.Unlock()
	r.trace(v.ID, "attempt %d at %s: %+v", try, label, f)
	defer r.trace(v.ID, "attempt %d at %s ends", try, label)
	if f.took > 0 {
		if v.hash("deaf")%2 == 0 {
			time.Sleep(f.took)
		} else {
			select {
			case <-time.After(f.took):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	r.moved()
	switch {
	case f.discarded:
		return nil, stage.Discard(receipt.Unselected)
	case f.failed && f.never:
		return nil, retry.Never(errModel)
	case !f.failed && try > f.tries:
		return n.made(v), nil
	case f.panics:
		panic(errModel)
	case f.later:
		return nil, retry.Later(errModel, 30*time.Millisecond)
	case f.after:
		return nil, retry.After(errModel, 70*time.Millisecond)
	case f.hangs:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, errModel
}

// excused reports whether something has crashed since an event was taken, a while for the
// stages' ends included. The caller holds the lock.
func (r *modelRun) excused(id int) bool {
	taken := r.sources[id/modelIDs].taken[id]
	if r.late[id] {
		return true
	}
	for _, at := range r.crashed {
		if !at.Add(time.Second).Before(taken) {
			return true
		}
	}
	return false
}

// handled notes that an end has handled an item.
func (r *modelRun) handled(n *modelNode, v item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	label := n.label(v)
	r.trace(v.ID, "handled %s", label)
	r.got[label]++
	if r.got[label] > 1 && !r.excused(v.ID) {
		r.fault("%s was handled %d times", label, r.got[label])
	}
	if n.order == 0 || r.disordered {
		return
	}
	domain := n.name
	if n.order == 'k' {
		domain = fmt.Sprint(domain, " ", v.Key)
	} else {
		domain = fmt.Sprint(domain, " of source ", v.ID/modelIDs)
	}
	if n := len(r.newest[domain]); n > 0 {
		if last := r.newest[domain][n-1]; last > v.ID && !r.excused(v.ID) && !r.excused(last) {
			r.fault("%s: %d after %d", domain, v.ID, last)
		}
	}
	r.newest[domain] = append(r.newest[domain], v.ID)
}

// Write implements deadletter.Sink.
func (r *modelRun) Write(_ context.Context, letters []deadletter.Letter) error {
	if time.Now().Before(r.sinkDown) {
		r.moved()
		return errModel
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress = time.Now()
	for _, l := range letters {
		var v item
		if err := json.Unmarshal(l.Event, &v); err != nil {
			r.fault("letter %s: %v", l.Event, err)
		}
		n := modelNode{name: l.Stage}
		label := n.label(v)
		r.trace(v.ID, "letter of %s", label)
		r.letters[label]++
		if r.letters[label] > 1 && !r.excused(v.ID) {
			r.fault("%s has %d letters", label, r.letters[label])
		}
		if !strings.Contains(l.Error, errModel.Error()) && !strings.Contains(l.Error, "deadline") {
			r.fault("the letter of %s: %+v", label, l)
		}
		for _, n := range r.nodes {
			if n.name != l.Stage {
				continue
			}
			f := n.fate(v)
			if !f.failed || l.Attempts > f.tries || l.Attempts < f.tries && !r.excused(v.ID) {
				r.fault("%s has a letter after %d attempts: %s", label, l.Attempts, l.Error)
			}
		}
	}
	return nil
}

// finished checks an event whose source has its receipt.
func (r *modelRun) finished(s *modelSource, id int, end receipt.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.final[id] = end
	r.trace(id, "is %v", end)
	o := r.expected(s, id)
	for _, label := range o.handled {
		if r.got[label] == 0 {
			r.fault("event %d is %v, but %s was not handled", id, end, label)
		}
	}
	for _, label := range o.letters {
		if r.letters[label] == 0 {
			r.fault("event %d is %v, but %s has no letter", id, end, label)
		}
	}
	wrong := false
	switch end {
	case receipt.Done:
		wrong = o.fails || o.discards || o.never
	case receipt.Discarded:
		wrong = o.fails || !o.mayDiscard || o.never
	case receipt.Failed:
		wrong = !o.mayFail || o.never
	}
	if wrong {
		r.fault("event %d is %v: %+v", id, end, o)
	}
}

func (r *modelRun) expected(s *modelSource, id int) outcome {
	o := outcome{}
	s.head().expect(item{ID: id, Key: s.place*100 + (id-s.place*modelIDs)%s.keys}, false, &o)
	return o
}

// Enabled, Handle, WithAttrs and WithGroup make the run a log's handler.
func (r *modelRun) Enabled(context.Context, slog.Level) bool { return true }
func (r *modelRun) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *modelRun) WithGroup(string) slog.Handler            { return r }
func (r *modelRun) Handle(_ context.Context, rec slog.Record) error {
	line := rec.Message
	if strings.HasPrefix(line, "a step of a branch that is removed has failed") {
		r.mu.Lock()
		r.left = true
		r.mu.Unlock()
	}
	rec.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	if len(line) > 400 {
		line = line[:400]
	}
	r.line("log: %s", line)
	return nil
}

// build makes the pipeline.
func (r *modelRun) build(rng *rand.Rand) {
	cfg := pipeline.Config{Logger: r.logger, DrainTimeout: time.Hour}
	r.restart = pipeline.Restart{MaxRestarts: 1_000_000, Backoff: time.Duration(1 + rng.IntN(int(200*time.Millisecond)))}
	r.calm = rng.IntN(4) == 0
	if rng.IntN(4) == 0 {
		cfg.Rate = pipeline.Rate{PerSecond: float64(50 + rng.IntN(1000))}
	}
	if rng.IntN(8) == 0 {
		cfg.DrainTimeout = 2 * time.Second
	}
	if rng.IntN(2) == 0 {
		r.sinkDown = time.Now().Add(time.Duration(rng.IntN(int(5 * time.Second))))
	}
	r.patience = cfg.DrainTimeout
	r.p = pipeline.New(cfg)
	b := &builder{r: r, rng: rng, left: rng.IntN(8)}
	var flows []modelFlow
	for i := range 1 + rng.IntN(8)/7 {
		s := &modelSource{
			r: r, place: i, n: 1 + rng.IntN(200), keys: 1 + rng.IntN(8), endless: rng.IntN(2) == 0,
			rng:   rand.New(rand.NewPCG(rng.Uint64(), 16)),
			taken: map[int]time.Time{}, final: map[int]receipt.Outcome{}, open: map[int]int{},
		}
		r.sources = append(r.sources, s)
		n := b.node("source", modelFlow{order: 't'})
		n.calm = true
		s.node, s.anew = n, rng.IntN(3) == 0
		cfg := pipeline.SourceConfig[item]{Name: n.name, Rate: []pipeline.Rate{{}, {PerSecond: 100}}[rng.IntN(8)/7]}
		f := modelFlow{tails: []func(*modelNode){n.link}, order: 't'}
		if s.anew {
			r.mayCrash(n)
			cfg.Restart = b.restart()
			f.flow = pipeline.FromFunc(r.p, func() (stage.Producer[item], error) { return s.feed(), nil }, cfg)
		} else {
			f.flow = pipeline.From(r.p, s.feed(), cfg)
		}
		flows = append(flows, f)
		r.say(fmt.Sprintf("%s{%d events, %d keys, endless %v, anew %v}", n.name, s.n, s.keys, s.endless, s.anew))
	}
	if len(flows) > 1 {
		merged := b.merge(flows)
		merged.order = 'k'
		for _, part := range flows { // merge may have added a step that shares it out anew
			_ = part
		}
		merged.order = 0
		b.grow(merged)
		return
	}
	b.grow(flows[0])
}

func (s *modelSource) head() *modelNode { return s.node }

// life runs the pipeline, with what happens meanwhile, and checks what is left behind.
func (r *modelRun) life() {
	rng := rand.New(rand.NewPCG(r.seed, 1))
	r.build(rng)
	if err := r.p.Err(); err != nil {
		r.fault("build: %v", err)
		return
	}
	r.ended = make(chan struct{})
	var err error
	go func() {
		defer close(r.ended)
		err = r.p.Run(context.Background())
	}()
	acts := r.plan(rng)
	begin := time.Now()
	r.moved()
	next, over := 0, false
	for !over {
		wait := 50 * time.Millisecond
		if next < len(acts) {
			wait = max(0, min(wait, time.Until(begin.Add(acts[next].at))))
		}
		select {
		case <-r.ended:
			over = true
		case <-time.After(wait):
		}
		for next < len(acts) && time.Since(begin) >= acts[next].at && !over {
			r.do(acts[next])
			next++
		}
		if next == len(acts) && !over && r.stands() {
			s, _ := json.Marshal(r.p.Snapshot(context.Background()))
			r.fault("standstill: %s", s)
			r.p.Stop(nil)
			<-r.ended
			over = true
		}
	}
	r.line("ended: %v", err)
	time.Sleep(time.Hour)
	r.check(err, acts)
}

// stands reports whether nothing has happened for a long time.
func (r *modelRun) stands() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.progress) > time.Minute
}

// check compares what was taken with what became of it.
func (r *modelRun) check(err error, acts []act) {
	stopped := errors.Is(err, pipeline.ErrStopped) || errors.Is(err, errModelStop)
	hasty := errors.Is(err, stage.ErrDrainTimeout)
	drained := false
	for _, a := range acts {
		drained = drained || a.what == "drain" || a.what == "drain step"
	}
	// What dies in a drain is not made anew.
	died := errors.Is(err, errModelCrash) && !r.ends.IsZero() && !r.crashed[len(r.crashed)-1].Before(r.ends)
	strict := r.strict && errors.Is(err, errModel)
	if err != nil && !stopped && !hasty && !died && !strict {
		r.fault("error %v", err)
	}
	if hasty && r.patience > time.Minute {
		r.fault("the drain takes an hour: %v", err)
	}
	r.look(true)
	if stopped || hasty || err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.audit()
	for _, s := range r.sources {
		// By a source that was made anew, and drained before it had them again; or abandoned by
		// a branch that has died while it was removed, when the source had no more events.
		kept := 0
		if s.lives > 1 || r.left {
			kept = len(s.redo)
		}
		if len(s.open) > 0 || len(s.final)+kept != len(s.taken) {
			r.fault("source %d: %d taken, %d finished, %d in flight", s.place, len(s.taken), len(s.final), len(s.open))
		}
		if !drained && len(s.final) != s.n {
			r.fault("source %d: %d of %d finished", s.place, len(s.final), s.n)
		}
	}
}

// modelLines is how many of the last lines a failed run prints.
var modelLines = func() int {
	if os.Getenv("PENSTOCK_TRACE") != "" {
		return 100_000
	}
	return 60
}()
