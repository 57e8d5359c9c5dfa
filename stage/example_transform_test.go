package stage_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// ledger is a source of lines that prints what became of each.
type ledger struct {
	lines    []string
	next     int
	outcomes []receipt.Outcome
}

func (l *ledger) HandleDemand(_ context.Context, n int, emit *stage.Emitter[string]) error {
	for ; n > 0 && l.next < len(l.lines); n-- {
		emit.Emit(l.lines[l.next])
		l.next++
	}
	if l.next == len(l.lines) {
		return stage.ErrDone
	}
	return nil
}

func (l *ledger) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	for _, r := range receipts {
		for seq := range r.Seqs() {
			l.outcomes[seq] = r.Outcome
		}
	}
	return nil
}

func (l *ledger) HandleTerminate(context.Context, error) error {
	for i, line := range l.lines {
		fmt.Printf("%q: %v\n", line, l.outcomes[i])
	}
	return nil
}

// through runs lines through a producer-consumer into a consumer that prints.
func through[Out any](pc stage.ProducerConsumer[string, Out], lines ...string) {
	source := stage.Must(stage.NewProducer(&ledger{lines: lines, outcomes: make([]receipt.Outcome, len(lines))}, stage.ProducerConfig[string]{}))
	middle := stage.Must(stage.NewProducerConsumer(pc, stage.ProducerConsumerConfig[Out]{}))
	end := stage.Must(stage.NewConsumer(stage.ConsumerFunc[Out](func(_ context.Context, events []Out) error {
		fmt.Println(events)
		return nil
	}), stage.ConsumerConfig{}))
	if _, err := middle.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		log.Fatal(err)
	}
	if _, err := end.Subscribe(middle, stage.SubscribeConfig{}); err != nil {
		log.Fatal(err)
	}
	if err := stage.Run(context.Background(), source, middle, end); err != nil {
		log.Fatal(err)
	}
}

// A line that cannot be parsed fails alone; the others are finished when the
// number made of them was handled.
func ExampleMapFunc() {
	through(stage.MapFunc[string, int](func(_ context.Context, line string) (int, error) {
		return strconv.Atoi(line)
	}), "1", "two", "3")
	// Output:
	// [1 3]
	// "1": done
	// "two": failed
	// "3": done
}

func ExampleFilterFunc() {
	through(stage.FilterFunc[string](func(_ context.Context, line string) (bool, error) {
		return line != "", nil
	}), "a", "", "b")
	// Output:
	// [a b]
	// "a": done
	// "": done
	// "b": done
}

func ExampleFlatMapFunc() {
	through(stage.FlatMapFunc[string, string](func(_ context.Context, line string, emit func(string)) error {
		if line == "?" {
			return errors.New("no letters")
		}
		for _, letter := range line {
			emit(string(letter))
		}
		return nil
	}), "ab", "?", "c")
	// Output:
	// [a b c]
	// "ab": done
	// "?": failed
	// "c": done
}

// joiner makes one event of every two.
type joiner struct {
	emit  *stage.Emitter[string]
	lines []string
	held  []stage.Held
}

func (j *joiner) HandleEmitter(emit *stage.Emitter[string]) { j.emit = emit }

func (j *joiner) HandleEvents(_ context.Context, lines []string, emit *stage.Emitter[string]) error {
	for i, line := range lines {
		j.lines, j.held = append(j.lines, line), append(j.held, emit.Hold(i))
		if len(j.lines) == 2 {
			j.hand()
		}
	}
	return nil
}

// HandleFlush hands on a single line when nothing more can come.
func (j *joiner) HandleFlush(context.Context) error {
	if len(j.lines) > 0 {
		j.hand()
	}
	return nil
}

func (j *joiner) hand() {
	j.emit.For(j.held...) // what is emitted now is made of these
	j.emit.Emit(fmt.Sprint(j.lines))
	j.lines, j.held = j.lines[:0], j.held[:0]
}

func ExampleEmitter_Hold() {
	through(&joiner{}, "a", "b", "c")
	// Output:
	// [[a b]]
	// [[c]]
	// "a": done
	// "b": done
	// "c": done
}
