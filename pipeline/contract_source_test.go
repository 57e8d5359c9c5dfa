package pipeline_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// blocked is an end that has taken one event, which waits for the gate.
func blocked(gate <-chan struct{}, l *list) func() (stage.Consumer[int], error) {
	return func() (stage.Consumer[int], error) {
		return stage.ConsumerFunc[int](func(ctx context.Context, events []int) error {
			<-gate
			return l.add(ctx, events[0])
		}), nil
	}
}

// FromRead and FromScanner read nothing ahead of demand.
func TestReadersAreNotAheadOfDemand(t *testing.T) {
	for name, from := range map[string]func(p *pipeline.Pipeline, read func() int) *pipeline.Flow[int]{
		"FromRead": func(p *pipeline.Pipeline, read func() int) *pipeline.Flow[int] {
			return pipeline.FromRead(p, func() (int, error) { return read(), nil }, sourceConfig{})
		},
		"FromScanner": func(p *pipeline.Pipeline, read func() int) *pipeline.Flow[int] {
			s := bufio.NewScanner(strings.NewReader(strings.Repeat("x", 1000)))
			s.Split(func(data []byte, _ bool) (int, []byte, error) {
				if len(data) == 0 {
					return 0, nil, nil // all are read, before the drain
				}
				read()
				return 1, data[:1], nil
			})
			lines := pipeline.FromScanner(p, s, pipeline.SourceConfig[string]{})
			return pipeline.Map(lines, func(context.Context, string) (int, error) { return 0, nil }, pipeline.StepConfig[string]{Window: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, gate, l, reads := pipeline.New(pipeline.Config{Logger: quiet}), make(chan struct{}), &list{}, 0
				in := from(p, func() int { reads++; return reads })
				pipeline.To(in, blocked(gate, l), pipeline.StageConfig{MaxDemand: 1})
				done := started(t, p)
				time.Sleep(time.Hour)
				synctest.Wait()
				if reads > 3 {
					t.Errorf("%d reads for one event that is handled", reads)
				}
				close(gate)
				drained(t, p, done)
				if n := len(l.all()); n != reads {
					t.Errorf("%d of %d reads are handled", n, reads)
				}
			})
		})
	}
}

// A source of a sequence is not ahead of demand by more than the value that it yields, and one
// of nothing at all before the run.
func TestFromSeqIsNotAheadOfDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, gate, l, yielded := pipeline.New(pipeline.Config{Logger: quiet}), make(chan struct{}), &list{}, 0
		in := pipeline.FromSeq(p, func(yield func(int) bool) {
			for yielded++; yield(yielded); yielded++ {
			}
		}, sourceConfig{})
		pipeline.To(in, blocked(gate, l), pipeline.StageConfig{MaxDemand: 1})
		synctest.Wait()
		if yielded > 0 {
			t.Error("it yields before the run")
		}
		done := started(t, p)
		time.Sleep(time.Hour)
		synctest.Wait()
		if yielded > 2 {
			t.Errorf("%d values for one event that is handled", yielded)
		}
		close(gate)
		drained(t, p, done)
		if n := len(l.all()); n != yielded {
			t.Errorf("%d of %d values are handled", n, yielded)
		}
	})
}

// A value with an error ends the pipeline with that error, after the values before it; an error
// that wraps io.EOF is the end of a reader.
func TestErrorsOfSequencesAndReaders(t *testing.T) {
	refused := errors.New("refused")
	at3 := func(err error) func() (int, error) {
		v := 0
		return func() (int, error) {
			if v++; v == 3 {
				return 99, err
			}
			return v, nil
		}
	}
	for name, c := range map[string]struct {
		from func(p *pipeline.Pipeline) *pipeline.Flow[int]
		err  error
	}{
		"sequence": {func(p *pipeline.Pipeline) *pipeline.Flow[int] {
			read := at3(refused)
			return pipeline.FromSeq2(p, func(yield func(int, error) bool) {
				for yield(read()) {
				}
			}, sourceConfig{})
		}, refused},
		"reader": {func(p *pipeline.Pipeline) *pipeline.Flow[int] {
			return pipeline.FromRead(p, at3(refused), sourceConfig{})
		}, refused},
		"wrapped EOF": {func(p *pipeline.Pipeline) *pipeline.Flow[int] {
			return pipeline.FromRead(p, at3(errors.Join(io.EOF, refused)), sourceConfig{})
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, l := pipeline.New(pipeline.Config{Logger: quiet}), &list{}
				pipeline.Each(c.from(p), l.add, stepConfig{})
				if err := p.Run(t.Context()); !errors.Is(err, c.err) || !slices.Equal(l.all(), []int{1, 2}) {
					t.Errorf("%v, %v", l.all(), err)
				}
			})
		})
	}
}

// A source of From is never made anew: the pipeline ends with its error, whatever Restart says.
func TestFromIsNeverMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f, l := pipeline.New(pipeline.Config{Logger: quiet}), newFeed(upTo(3)...), &list{}
		restart := pipeline.Restart{MaxRestarts: 5}
		pipeline.Each(pipeline.From(p, f, sourceConfig{Name: "source", Restart: restart}), l.add, stepConfig{})
		done := started(t, p)
		synctest.Wait()
		f.die(errDead)
		begun := time.Now()
		if err := <-done; !errors.Is(err, errDead) || !strings.Contains(err.Error(), `"source"`) || time.Since(begun) > 0 {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		l.has(t, 3)
	})
}

// The function of FromFunc is called when Run begins and anew when its source has failed. What
// that one had emitted and not finished comes again only if the new one emits it.
func TestFromFuncIsMadeAtTheRunAndAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l, gate := pipeline.New(pipeline.Config{Logger: quiet}), &list{}, make(chan struct{})
		var lives []*feed
		in := pipeline.FromFunc(p, func() (stage.Producer[int], error) {
			// The second one goes on after event 2, without 1.
			lives = append(lives, newFeed([][]int{{0, 1}, {2}}[len(lives)]...))
			return lives[len(lives)-1], nil
		}, sourceConfig{})
		pipeline.Each(in, func(ctx context.Context, v int) error {
			if v == 1 {
				<-gate
			}
			return l.add(ctx, v)
		}, stepConfig{})
		if len(lives) > 0 {
			t.Error("it is made before the run")
		}
		done := started(t, p)
		synctest.Wait()
		lives[0].die(errDead)
		time.Sleep(time.Minute)
		close(gate)
		drained(t, p, done)
		slices.Sort(l.got)
		if got := l.all(); len(lives) != 2 || !slices.Equal(got, []int{0, 1, 2}) {
			t.Errorf("%d lives, %v", len(lives), got)
		}
		if len(lives[1].ends()) != 1 {
			t.Errorf("the new source has the receipts %v", lives[1].ends())
		}
	})
}
