package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// numbers is a source of 0 to n-1.
func numbers(n int) stage.Producer[int] {
	return stage.Must(producer.NewSeq(func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}, producer.SeqConfig[int]{}))
}

var quiet = slog.New(slog.DiscardHandler)

func double(_ context.Context, v int) (int, error) { return 2 * v, nil }
func same(_ context.Context, v int) (int, error)   { return v, nil }
func odd(_ context.Context, v int) (bool, error)   { return v%2 == 1, nil }
func none(context.Context, int) error              { return nil }

type stepConfig = pipeline.StepConfig[int]
type sourceConfig = pipeline.SourceConfig[int]

func TestStepsFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		in := pipeline.From(p, numbers(5), sourceConfig{})
		doubled := pipeline.Map(pipeline.Filter(in, odd, stepConfig{}), double, stepConfig{})
		twice := pipeline.FlatMap(doubled, func(_ context.Context, v int, emit func(int)) error {
			emit(v)
			emit(v)
			return nil
		}, stepConfig{})
		var got []int
		pipeline.Each(twice, func(_ context.Context, v int) error { got = append(got, v); return nil }, stepConfig{})
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []int{2, 2, 6, 6}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// TestMistakesAreCollected: what is wrong with the graph is an *OptionError that names
// the step, and nothing starts.
func TestMistakesAreCollected(t *testing.T) {
	var noMap func(context.Context, int) (int, error)
	for _, tc := range []struct {
		name  string
		build func(p *pipeline.Pipeline, in *pipeline.Flow[int])
		want  []string // owner and option of each error
	}{
		{"a nil function", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.Map(in, noMap, stepConfig{Name: "parse"}), none, stepConfig{})
		}, []string{`pipeline step "parse": option f`}},
		{"a wrong option", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, none, stepConfig{Workers: -1})
		}, []string{`pipeline step "each-2": option Workers`}},
		{"a window below the workers", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, none, stepConfig{Workers: 4, Window: 3})
		}, []string{`pipeline step "each-2": option Window`}},
		{"a flow taken twice", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, none, stepConfig{Name: "a"})
			pipeline.Each(in, none, stepConfig{Name: "b"})
		}, []string{`pipeline step "b": option flow refused: "the events of \"source\""; allowed: a flow that no other step takes; "a" takes it`}},
		{"a flow not taken", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Map(in, same, stepConfig{})
		}, []string{`pipeline step "map-2": option flow`}},
		{"a name twice", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.Map(in, same, stepConfig{Name: "source"}), none, stepConfig{})
		}, []string{`pipeline step "source": option Name`}},
		{"two mistakes", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.Map(in, noMap, stepConfig{}), none, stepConfig{Timeout: -1})
		}, []string{`pipeline step "map-2": option f`, `pipeline step "each-3": option Timeout`}},
		{"a nil source", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, none, stepConfig{})
			pipeline.Each(pipeline.From[int](p, nil, sourceConfig{Name: "other"}), none, stepConfig{})
		}, []string{`pipeline step "other": option source`}},
		{"a nil factory", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.To(in, nil, pipeline.StageConfig{Name: "sink"})
		}, []string{`pipeline step "sink": option make`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := pipeline.New(pipeline.Config{Logger: quiet})
			tc.build(p, pipeline.From(p, numbers(1), sourceConfig{Name: "source"}))
			err := p.Run(t.Context())
			var refused *pipeline.OptionError
			if !errors.As(err, &refused) {
				t.Fatalf("%v is no *OptionError", err)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tc.want) {
				t.Fatalf("%d errors: %v", len(lines), err)
			}
			for i, want := range tc.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("%q does not begin with %q", lines[i], want)
				}
			}
		})
	}
}
