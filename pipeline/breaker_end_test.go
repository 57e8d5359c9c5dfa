package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/retry"
)

// logBuffer is what a test reads of a log.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// runFor runs p, drains it after a minute, and fails the test if it has not ended a quarter
// of an hour later.
func runFor(t *testing.T, p *pipeline.Pipeline, meanwhile func()) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	if meanwhile != nil {
		synctest.Wait()
		meanwhile()
	}
	time.Sleep(time.Minute)
	cancel()
	begun := time.Now()
	select {
	case err := <-done:
		t.Logf("Run returns %v after the drain: %v", time.Since(begun), err)
		return err
	case <-time.After(15 * time.Minute):
		t.Fatal("Run does not return")
		return nil
	}
}

func sequence(t *testing.T, n int) *producer.Seq[int] {
	t.Helper()
	s, err := producer.NewSeq(func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}, producer.SeqConfig[int]{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// However a function, a sink or a control holds up events, Run ends within its timeouts
// after a drain, and the log or the error says what was left.
func TestRunEndsWhateverHangs(t *testing.T) {
	release := make(chan struct{})
	hang := func(context.Context) error { <-release; return nil }
	waits := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	cases := map[string]struct {
		build func(p *pipeline.Pipeline, in *pipeline.Flow[int])
		then  func(p *pipeline.Pipeline)
		clean bool // nothing is left
	}{
		"function waits for its context": {build: func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, func(ctx context.Context, v int) error { return waits(ctx) }, pipeline.StepConfig[int]{Workers: 3})
		}},
		"function hangs": {build: func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, func(ctx context.Context, v int) error { return hang(ctx) }, pipeline.StepConfig[int]{Workers: 3})
		}},
		"batch hangs": {build: func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.EachBatch(in, func(ctx context.Context, v []int) error { return hang(ctx) }, pipeline.BatchConfig[int]{Workers: 2})
		}},
		"key hangs": {build: func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, func(ctx context.Context, v int) error { return nil }, pipeline.StepConfig[int]{Key: func(int) string { _ = hang(nil); return "" }})
		}},
		"sink fails for ever": {build: func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, func(ctx context.Context, v int) error { return errBreaks }, pipeline.StepConfig[int]{
				DeadLetters: deadletter.SinkFunc(func(context.Context, []deadletter.Letter) error { return errBreaks })})
		}},
		"sink hangs": {build: func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, func(ctx context.Context, v int) error { return errBreaks }, pipeline.StepConfig[int]{
				DeadLetters: deadletter.SinkFunc(func(ctx context.Context, _ []deadletter.Letter) error { return hang(ctx) })})
		}},
		"sink is slow": {build: func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, func(ctx context.Context, v int) error { return errBreaks }, pipeline.StepConfig[int]{
				DeadLetters: deadletter.SinkFunc(func(ctx context.Context, _ []deadletter.Letter) error { time.Sleep(20 * time.Second); return nil })})
		}, clean: true},
		"paused step": {build: func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, func(ctx context.Context, v int) error { return nil }, pipeline.StepConfig[int]{Name: "e"})
		}, then: func(p *pipeline.Pipeline) { s, _ := p.Step("e"); s.Pause() }, clean: true},
		"paused batch": {build: func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.EachBatch(in, func(ctx context.Context, v []int) error { return nil }, pipeline.BatchConfig[int]{Name: "e"})
		}, then: func(p *pipeline.Pipeline) { s, _ := p.Step("e"); s.Pause() }, clean: true},
		"hopeless rate": {build: func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, func(ctx context.Context, v int) error { return nil }, pipeline.StepConfig[int]{Name: "e", Rate: pipeline.Rate{PerSecond: 0.001}})
		}},
		"retries for ever": {build: func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, func(ctx context.Context, v int) error { return errBreaks }, pipeline.StepConfig[int]{Retry: unlimited()})
		}},
		"calls back": {build: func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, func(ctx context.Context, v int) error {
				s, _ := p.Step("e")
				switch v % 8 {
				case 0:
					return s.Resize(v%5 + 1)
				case 1:
					s.Pause()
					s.Resume()
				case 2:
					short, cancel := context.WithTimeout(ctx, time.Millisecond)
					defer cancel()
					_ = p.Snapshot(short)
				case 3:
					return s.SetRate(pipeline.Rate{PerSecond: 1e6})
				case 4:
					p.Pause()
					p.Resume()
				case 5:
					return p.SetRate(pipeline.Rate{})
				case 6:
					_ = p.Err()
				}
				return nil
			}, pipeline.StepConfig[int]{Name: "e"})
		}, clean: true},
		"drains itself": {build: func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, func(ctx context.Context, v int) error {
				if v == 50 {
					s, _ := p.Step("e")
					return s.Drain()
				}
				return nil
			}, pipeline.StepConfig[int]{Name: "e"})
		}, clean: true},
		"removes its branch": {build: func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			b := pipeline.Broadcast(in)
			pipeline.Each(b.Branch("a", pipeline.BranchConfig{}), func(context.Context, int) error { return nil }, pipeline.StepConfig[int]{})
			inner := pipeline.Broadcast(b.Branch("b", pipeline.BranchConfig{}))
			pipeline.Each(inner.Branch("b1", pipeline.BranchConfig{}), func(_ context.Context, v int) error {
				if v == 50 {
					return b.Remove("b")
				}
				return nil
			}, pipeline.StepConfig[int]{})
			pipeline.Each(inner.Branch("b2", pipeline.BranchConfig{}), func(context.Context, int) error { return nil }, pipeline.StepConfig[int]{})
		}, clean: true},
		"restart storm": {build: func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			m := pipeline.Map(in, func(_ context.Context, v int) (int, error) { return v, nil }, pipeline.StepConfig[int]{Name: "m", Workers: 4})
			pipeline.Each(m, func(ctx context.Context, v int) error { time.Sleep(time.Millisecond); return nil }, pipeline.StepConfig[int]{Name: "e", Workers: 2})
		}, then: func(p *pipeline.Pipeline) {
			for i := range 200 {
				s, _ := p.Step([]string{"m", "e"}[i%2])
				_ = s.Restart()
				time.Sleep(time.Duration(i%7) * 100 * time.Microsecond)
			}
		}, clean: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release = make(chan struct{})
				log := new(logBuffer)
				p := pipeline.New(pipeline.Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
				c.build(p, pipeline.From(p, sequence(t, 2000), pipeline.SourceConfig[int]{}))
				err := runFor(t, p, func() {
					if c.then != nil {
						c.then(p)
					}
				})
				said := slices.ContainsFunc([]string{"events discarded", "events abandoned", "events were not handled", "is left behind"},
					func(line string) bool { return strings.Contains(log.String(), line) })
				switch {
				case c.clean && (err != nil || said && c.then == nil):
					t.Errorf("%v, something was left:\n%s", err, log)
				case !c.clean && (err == nil || !said):
					t.Errorf("Run returns %v, said %v:\n%s", err, said, log)
				}
				close(release)
				time.Sleep(time.Hour)
			})
		})
	}
}

// A context that is done ends a pipeline before it has handled anything, without an error.
func TestRunWithAContextThatIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p := pipeline.New(pipeline.Config{})
		pipeline.Each(pipeline.From(p, sequence(t, 10), pipeline.SourceConfig[int]{}), func(context.Context, int) error { return nil }, pipeline.StepConfig[int]{})
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

// A source that fails after some events ends the pipeline with its error, and what it had
// emitted is finished.
func TestSequenceThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := producer.NewSeq2(func(yield func(int, error) bool) {
			for i := range 500 {
				if !yield(i, nil) {
					return
				}
			}
			yield(0, errBreaks)
		}, producer.SeqConfig[int]{})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		n := 0
		p := pipeline.New(pipeline.Config{})
		in := pipeline.From(p, s, pipeline.SourceConfig[int]{})
		text := pipeline.Map(in, func(_ context.Context, v int) (string, error) { return fmt.Sprint(v), nil }, pipeline.StepConfig[int]{Workers: 4})
		pipeline.EachBatch(text, func(_ context.Context, vs []string) error {
			time.Sleep(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			n += len(vs)
			return nil
		}, pipeline.BatchConfig[string]{Size: 7, Workers: 3})
		if err := p.Run(t.Context()); !errors.Is(err, errBreaks) || n != 500 {
			t.Errorf("%v, %d of 500 handled", err, n)
		}
	})
}

func unlimited() retry.Policy { return retry.Policy{MaxAttempts: retry.Unlimited} }
