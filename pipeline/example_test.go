package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// words is a source of words.
func words(list ...string) stage.Producer[string] {
	return stage.Must(producer.NewSeq(slices.Values(list), producer.SeqConfig[string]{}))
}

// newPipeline makes a pipeline that logs nothing.
func newPipeline() *pipeline.Pipeline {
	return pipeline.New(pipeline.Config{Name: "example", Logger: slog.New(slog.DiscardHandler)})
}

// The names of the steps are those in errors, logs and snapshots.
func Example() {
	p := newPipeline()
	lines := pipeline.From(p, words("1", "2", "three", "4"), pipeline.SourceConfig[string]{Name: "lines"})
	numbers := pipeline.Map(lines, func(_ context.Context, line string) (int, error) {
		n, err := strconv.Atoi(line)
		return n, retry.Never(err) // another attempt mends nothing
	}, pipeline.StepConfig[string]{Name: "parse", Workers: 4, DeadLetters: deadletter.SinkFunc(
		func(_ context.Context, letters []deadletter.Letter) error {
			for _, l := range letters {
				fmt.Printf("%s failed in %s\n", l.Event, l.Stage)
			}
			return nil
		})})
	even := pipeline.Filter(numbers, func(_ context.Context, n int) (bool, error) { return n%2 == 0, nil }, pipeline.StepConfig[int]{})
	pipeline.Each(even, func(_ context.Context, n int) error {
		fmt.Println(n)
		return nil
	}, pipeline.StepConfig[int]{Name: "print"})
	if err := p.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// "three" failed in parse
	// 2
	// 4
}

// All mistakes are reported at once, and nothing is started.
func ExampleNew() {
	p := pipeline.New(pipeline.Config{Name: "imports"})
	lines := pipeline.From(p, words("a"), pipeline.SourceConfig[string]{Name: "lines"})
	pipeline.Map[string, int](lines, nil, pipeline.StepConfig[string]{Name: "parse", Workers: 4})
	fmt.Println(p.Run(context.Background()))
	// Output:
	// pipeline step "parse": option f refused: nil func(context.Context, string) (int, error); allowed: a function
	// pipeline step "parse": option flow refused: "the events of \"parse\""; allowed: a step that takes it, such as Each
}

func ExampleFromFunc() {
	p := newPipeline()
	attempts := 0
	in := pipeline.FromFunc(p, func() (stage.Producer[string], error) {
		if attempts++; attempts > 1 {
			return words("back again"), nil
		}
		return stage.ProducerFunc[string](func(context.Context, int, *stage.Emitter[string]) error {
			return errors.New("the connection is lost")
		}), nil
	}, pipeline.SourceConfig[string]{})
	pipeline.Each(in, printWord, pipeline.StepConfig[string]{})
	fmt.Println(p.Run(context.Background()))
	// Output:
	// back again
	// <nil>
}

func printWord(_ context.Context, s string) error {
	fmt.Println(s)
	return nil
}

func ExampleFlatMap() {
	p := newPipeline()
	lines := pipeline.From(p, words("to be", "or not to be"), pipeline.SourceConfig[string]{})
	pipeline.Each(pipeline.FlatMap(lines, func(_ context.Context, line string, emit func(string)) error {
		for word := range strings.FieldsSeq(line) {
			emit(word)
		}
		return nil
	}, pipeline.StepConfig[string]{}), printWord, pipeline.StepConfig[string]{})
	fmt.Println(p.Run(context.Background()))
	// Output:
	// to
	// be
	// or
	// not
	// to
	// be
	// <nil>
}

// Any stage of the program's own is a step, and any consumer an end.
func ExampleThrough() {
	p := newPipeline()
	in := pipeline.From(p, words("a", "b"), pipeline.SourceConfig[string]{})
	upper := pipeline.Through(in, func() (stage.ProducerConsumer[string, string], error) {
		return stage.MapFunc[string, string](func(_ context.Context, s string) (string, error) { return strings.ToUpper(s), nil }), nil
	}, pipeline.StageConfig{Name: "upper"})
	pipeline.To(upper, func() (stage.Consumer[string], error) { return consumer.ForEach(printWord) }, pipeline.StageConfig{Name: "show"})
	fmt.Println(p.Run(context.Background()))
	// Output:
	// A
	// B
	// <nil>
}

// One user's many events do not delay those of others.
func ExampleFair() {
	p := newPipeline()
	in := pipeline.From(p, words("ann 1", "ann 2", "ann 3", "bob 1"), pipeline.SourceConfig[string]{})
	user := func(s string) string { return strings.Fields(s)[0] }
	shared := pipeline.Fair(in, user, fair.Config[string]{})
	pipeline.Each(shared, printWord, pipeline.StepConfig[string]{Workers: 1})
	fmt.Println(p.Run(context.Background()))
	// Unordered output:
	// ann 1
	// ann 2
	// ann 3
	// bob 1
	// <nil>
}

// Each partition counts its own keys.
func ExamplePartition() {
	p := newPipeline()
	in := pipeline.From(p, words("x", "yy", "z", "aaa", "bb"), pipeline.SourceConfig[string]{})
	counts := make([]map[string]int, 2)
	for i, part := range pipeline.Partition(in, 2, func(s string) uint64 { return uint64(len(s)) }) {
		counts[i] = make(map[string]int)
		pipeline.Each(part, func(_ context.Context, s string) error { counts[i][s]++; return nil }, pipeline.StepConfig[string]{})
	}
	fmt.Println(p.Run(context.Background()), counts)
	// Output: <nil> [map[bb:1 yy:1] map[aaa:1 x:1 z:1]]
}

func ExampleRoute() {
	p := newPipeline()
	in := pipeline.From(p, words("info: on", "error: off"), pipeline.SourceConfig[string]{})
	routes := pipeline.Route(in, []string{"info", "error"}, func(s string) string { name, _, _ := strings.Cut(s, ":"); return name })
	pipeline.Each(routes.Flow("info"), func(context.Context, string) error { return nil }, pipeline.StepConfig[string]{})
	pipeline.Each(routes.Flow("error"), printWord, pipeline.StepConfig[string]{})
	fmt.Println(p.Run(context.Background()))
	// Output:
	// error: off
	// <nil>
}

// The audit may be behind by 100 events, and then loses the oldest; the store loses
// nothing.
func ExampleBroadcast() {
	p := newPipeline()
	b := pipeline.Broadcast(pipeline.From(p, words("a", "b"), pipeline.SourceConfig[string]{}))
	pipeline.Each(b.Branch("store", pipeline.BranchConfig{}), func(_ context.Context, s string) error {
		fmt.Println("store", s)
		return nil
	}, pipeline.StepConfig[string]{})
	pipeline.Each(b.Branch("audit", pipeline.BranchConfig{Buffer: 100, Overflow: pipeline.DropOldest}), func(_ context.Context, s string) error {
		fmt.Println("audit", s)
		return nil
	}, pipeline.StepConfig[string]{})
	fmt.Println(p.Run(context.Background()))
	// Unordered output:
	// store a
	// store b
	// audit a
	// audit b
	// <nil>
}

func ExampleMerge() {
	p := newPipeline()
	a := pipeline.From(p, words("a"), pipeline.SourceConfig[string]{})
	b := pipeline.From(p, words("b"), pipeline.SourceConfig[string]{})
	pipeline.Each(pipeline.Merge(a, b), printWord, pipeline.StepConfig[string]{})
	fmt.Println(p.Run(context.Background()))
	// Unordered output:
	// a
	// b
	// <nil>
}

// A step is controlled from any goroutine while the pipeline runs.
func ExamplePipeline_Step() {
	p := newPipeline()
	in := pipeline.From(p, words("a"), pipeline.SourceConfig[string]{})
	pipeline.Each(in, func(_ context.Context, s string) error {
		step, _ := p.Step("store")
		fmt.Println(s, step.Resize(8))
		return nil
	}, pipeline.StepConfig[string]{Name: "store", Workers: 2})
	fmt.Println(p.Run(context.Background()))
	// Output:
	// a <nil>
	// <nil>
}
