package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// Events of which a step makes a failure; see broken.
const (
	fails = -1 - iota
	raises
	exits
)

var errFailed = errors.New("failed")

// broken fails in the way that the event asks for.
func broken(v int) error {
	switch v {
	case fails:
		return errFailed
	case raises:
		panic("oops")
	case exits:
		runtime.Goexit()
	}
	return nil
}

// handle is a step's function that passes on what does not fail.
func handle(_ context.Context, v int) (int, error) { return v, broken(v) }

// acked is a source that notes its receipts as Broadway's tests note acknowledgements: one
// text for each call, such as "done [1 3] failed [2]".
type acked struct {
	*pipelinetest.Source[int]

	mu     sync.Mutex
	pushed []int
	calls  []string
	count  map[int]int // receipts of each event
}

func newAcked() *acked {
	return &acked{Source: pipelinetest.NewSource[int](), count: make(map[int]int)}
}

func (a *acked) note(events []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pushed = append(a.pushed, events...)
}

// flush pushes events that steps pass on at once, and bulk those that they gather.
func (a *acked) flush(events ...int) pipelinetest.Receipts[int] {
	a.note(events)
	return a.PushAll(events...)
}

func (a *acked) bulk(events ...int) pipelinetest.Receipts[int] {
	a.note(events)
	return a.Batch(events...)
}

// HandleReceipts implements stage.ReceiptsHandler. It is for one life of the source.
func (a *acked) HandleReceipts(ctx context.Context, receipts []stage.Receipt) error {
	a.mu.Lock()
	groups := make(map[receipt.Outcome][]int)
	for _, r := range receipts {
		for seq := range r.Seqs() {
			groups[r.Outcome] = append(groups[r.Outcome], a.pushed[seq])
			a.count[a.pushed[seq]]++
		}
	}
	var text []string
	for _, outcome := range []receipt.Outcome{receipt.Done, receipt.Failed, receipt.Discarded, receipt.Abandoned} {
		if list := groups[outcome]; list != nil {
			text = append(text, fmt.Sprint(outcome, " ", list))
		}
	}
	a.calls = append(a.calls, strings.Join(text, " "))
	a.mu.Unlock()
	return a.Source.HandleReceipts(ctx, receipts)
}

// acks returns the calls so far, and forgets them.
func (a *acked) acks() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := strings.Join(a.calls, ", ")
	a.calls = nil
	return text
}

// broadway is a pipeline as Broadway's tests start one: an event has one attempt, and the
// test has all receipts, dead letters, log lines and figures.
type broadway struct {
	*testing.T
	cfg     pipeline.Config
	p       *pipeline.Pipeline
	source  *acked
	in      *pipeline.Flow[int]
	letters *pipelinetest.Letters
	log     *logBook
	figures *figures
	run     *pipelinetest.Running
}

// newBroadway makes a pipeline with its source, named "source". change changes its config.
func newBroadway(t *testing.T, change ...func(cfg *pipeline.Config)) *broadway {
	b := &broadway{T: t, source: newAcked(), letters: &pipelinetest.Letters{}, log: &logBook{}, figures: &figures{}}
	b.cfg = pipeline.Config{
		Name: "broadway", Retry: retry.Policy{MaxAttempts: 1}, DeadLetters: b.letters, Metrics: b.figures,
		Logger: slog.New(slog.NewTextHandler(b.log, nil)),
	}
	for _, f := range change {
		f(&b.cfg)
	}
	b.p = pipeline.New(b.cfg)
	b.in = pipeline.From(b.p, b.source, sourceConfig{Name: "source"})
	return b
}

// start runs the pipeline until the end of the test.
func (b *broadway) start() { b.run = pipelinetest.Run(b.T, b.p) }

// ends waits for the receipts and checks them, such as "done done failed".
func (b *broadway) ends(receipts pipelinetest.Receipts[int], want string) {
	b.Helper()
	outcomes, err := receipts.Wait(b.Context())
	if got := strings.Trim(fmt.Sprint(outcomes), "[]"); got != want || err != nil {
		b.Errorf("receipts %s, want %s; %v", got, want, err)
	}
}

// is fails the test unless got, as a text, is want.
func (b *broadway) is(what string, got any, want string) { b.Helper(); is(b.T, what, got, want) }

func is(t *testing.T, what string, got any, want string) {
	t.Helper()
	if text := fmt.Sprint(got); text != want {
		t.Errorf("%s: %s, want %s", what, text, want)
	}
}

// dead returns the dead letters, such as "step -1 failed", in order.
func (b *broadway) dead() string {
	var list []string
	for _, l := range b.letters.All() {
		list = append(list, fmt.Sprintf("%s %s %s", l.Stage, l.Event, l.Error))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// lived fails the test unless no step was made anew and the pipeline runs.
func (b *broadway) lived() {
	b.Helper()
	for _, s := range b.p.Snapshot(b.Context()).Steps {
		if s.State != "running" || s.Restarts > 0 {
			b.Errorf("%+v", s)
		}
	}
}

// restarts returns how often each step that was made anew was so, such as "batch 1".
func (b *broadway) restarts() string {
	var list []string
	for _, s := range b.p.Snapshot(b.Context()).Steps {
		if s.Restarts > 0 {
			list = append(list, fmt.Sprint(s.Name, " ", s.Restarts))
		}
	}
	return strings.Join(list, ", ")
}

// batchBook notes batches with the reason why they were passed on.
type batchBook struct {
	mu    sync.Mutex
	list  []string
	begun time.Time
}

func newBatchBook() *batchBook { return &batchBook{begun: time.Now()} }

func (b *batchBook) add(ctx context.Context, events []int) error {
	for _, v := range events {
		if err := broken(v); err != nil {
			return err
		}
	}
	info, ok := pipeline.BatchInfoOf(ctx)
	if !ok || info.Size != len(events) {
		return fmt.Errorf("%+v for a batch of %d", info, len(events))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, fmt.Sprint(events, " ", info.Trigger))
	return nil
}

// text returns the batches so far in their order, such as "[1 2] size, [3] timeout", and
// forgets them.
func (b *batchBook) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := strings.Join(b.list, ", ")
	b.list = nil
	return text
}

// logBook keeps log lines.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(line)
}

// has reports whether a line has all the texts.
func (l *logBook) has(texts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			return true
		}
	}
	return false
}

// figures is a metrics.Recorder that adds up counters by name and stage.
type figures struct {
	mu     sync.Mutex
	counts map[string]int64
}

type figure struct {
	f    *figures
	name string
}

func (f figure) Add(n int64) {
	f.f.mu.Lock()
	defer f.f.mu.Unlock()
	if f.f.counts == nil {
		f.f.counts = make(map[string]int64)
	}
	f.f.counts[f.name] += n
}

func (figure) Set(float64)           {}
func (figure) Observe(time.Duration) {}

func (f *figures) figure(name string, tags []metrics.Tag) figure {
	for _, tag := range tags {
		if tag.Key == "stage" {
			name += " " + tag.Value
		}
	}
	return figure{f, name}
}

func (f *figures) Counter(name string, tags ...metrics.Tag) metrics.Counter {
	return f.figure(name, tags)
}
func (f *figures) Gauge(name string, tags ...metrics.Tag) metrics.Gauge { return f.figure(name, tags) }
func (f *figures) Timer(name string, tags ...metrics.Tag) metrics.Timer { return f.figure(name, tags) }

// of returns a counter of a stage.
func (f *figures) of(name, stage string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[name+" "+stage]
}

// each returns a consumer that calls f for each event, and fails with its error.
func each[T any](f func(ctx context.Context, event T) error) stage.Consumer[T] {
	return stage.ConsumerFunc[T](func(ctx context.Context, events []T) error {
		for _, v := range events {
			if err := f(ctx, v); err != nil {
				return err
			}
		}
		return nil
	})
}
