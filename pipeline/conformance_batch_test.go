package pipeline_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/stage"
)

const batchAge = 20 * time.Millisecond

// oddOrEven names a batcher.
func oddOrEven(v int) string { return []string{"even", "odd"}[v%2] }

// batchers adds an end for batches of the odd numbers and one for those of the even ones,
// after a step that passes the events on.
func batchers(in *pipeline.Flow[int], odd, even batchConfig) (odds, evens *batchBook) {
	odds, evens = newBatchBook(), newBatchBook()
	odd.Name, odd.Timeout, even.Name, even.Timeout = "odd", batchAge, "even", batchAge
	routes := pipeline.Route(pipeline.Map(in, handle, stepConfig{Name: "step"}), []string{"odd", "even"}, oddOrEven)
	pipeline.EachBatch(routes.Flow("odd"), odds.add, odd)
	pipeline.EachBatch(routes.Flow("even"), evens.add, even)
	return odds, evens
}

// splitter returns a splitter: a batch is complete when its events add up to n or more.
func splitter(n int) func(events []int) bool {
	return func(events []int) bool {
		total := 0
		for _, v := range events {
			total += v
		}
		return total >= n
	}
}

// between returns the numbers from lo to hi.
func between(lo, hi int) []int {
	var list []int
	for v := lo; v <= hi; v++ {
		list = append(list, v)
	}
	return list
}

func allDone(n int) string { return strings.TrimSuffix(strings.Repeat("done ", n), " ") }

// workshop notes which worker handles what: a worker is the place of the function, as one
// per partition.
type workshop struct{ batchBook }

func (w *workshop) at(name string, v any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, fmt.Sprint(name, v))
}

var batchCases = []conformanceCase{
	{"B15_batchers have sizes of their own", func(t *testing.T) {
		b := newBroadway(t)
		odds, evens := batchers(b.in, batchConfig{Size: 10}, batchConfig{Size: 5})
		b.start()
		begun := time.Now()
		b.ends(b.source.bulk(between(1, 40)...), allDone(40))
		b.is("odd", odds.text(), "[1 3 5 7 9 11 13 15 17 19] size, [21 23 25 27 29 31 33 35 37 39] size")
		b.is("even", evens.text(), "[2 4 6 8 10] size, [12 14 16 18 20] size, [22 24 26 28 30] size, [32 34 36 38 40] size")
		b.is("time", time.Since(begun), "0s")
	}},
	{"B15_events that are flushed do not wait for more", func(t *testing.T) {
		b := newBroadway(t)
		odds, evens := batchers(b.in, batchConfig{Size: 10}, batchConfig{Size: 5})
		b.start()
		begun := time.Now()
		b.ends(b.source.flush(1, 2, 3, 4, 5), allDone(5))
		b.is("odd", odds.text(), "[1 3 5] flush")
		b.is("even", evens.text(), "[2 4] flush")
		b.is("time", time.Since(begun), "0s")
	}},
	{"B17_a splitter of the program", func(t *testing.T) {
		b, batches := newBroadway(t), newBatchBook()
		pipeline.EachBatch(b.in, batches.add, batchConfig{Cut: splitter(16), Timeout: batchAge})
		b.start()
		b.ends(b.source.bulk(40, 1, 13, 3), allDone(4))
		b.is("batches", batches.text(), "[40] cut, [1 13 3] cut")
	}},
	{"B17_two batchers with splitters", func(t *testing.T) {
		b := newBroadway(t)
		odds, evens := batchers(b.in, batchConfig{Cut: splitter(16)}, batchConfig{Cut: splitter(12)})
		b.start()
		b.ends(b.source.bulk(between(1, 10)...), allDone(10))
		b.is("odd", odds.text(), "[1 3 5 7] cut, [9] timeout")
		b.is("even", evens.text(), "[2 4 6] cut, [8 10] cut")
		b.ends(b.source.flush(1, 2, 3, 4), allDone(4))
		b.is("odd", odds.text(), "[1 3] flush")
		b.is("even", evens.text(), "[2 4] flush")
	}},
	{"B18_partitions keep to their workers, in order", func(t *testing.T) {
		b, steps, ends := newBroadway(t), &workshop{}, &workshop{}
		for i, part := range pipeline.Partition(b.in, 2, func(v int) uint64 { return uint64(v) }) {
			name := "p" + strconv.Itoa(i)
			passed := pipeline.Map(part, func(_ context.Context, v int) (int, error) {
				steps.at(name+" ", v)
				return v, nil
			}, stepConfig{Name: name})
			pipeline.EachBatch(passed, func(_ context.Context, events []int) error {
				ends.at(name+" ", events)
				return nil
			}, batchConfig{Name: "b" + name, Size: 2, Timeout: batchAge})
		}
		b.start()
		b.ends(b.source.bulk(between(1, 12)...), allDone(12))
		only := func(w *workshop, name string) string {
			var list []string
			for _, line := range w.list {
				if rest, ok := strings.CutPrefix(line, name+" "); ok {
					list = append(list, rest)
				}
			}
			return strings.Join(list, ",")
		}
		b.is("one step", only(steps, "p1"), "1,3,5,7,9,11")
		b.is("the other step", only(steps, "p0"), "2,4,6,8,10,12")
		b.is("one end", only(ends, "p1"), "[1 3],[5 7],[9 11]")
		b.is("the other end", only(ends, "p0"), "[2 4],[6 8],[10 12]")
	}},
	{"B18_keys of a step and of its batches", func(t *testing.T) {
		b, batches := newBroadway(t), newBatchBook()
		// The step has one event of a key at a time; each end has a key of its own.
		busy := make(map[int]bool)
		gate := make(chan struct{}, 1)
		var seen workshop
		step := pipeline.Map(b.in, func(_ context.Context, v int) (int, error) {
			gate <- struct{}{}
			if busy[v%2] {
				t.Error("two events of a key at once")
			}
			busy[v%2] = true
			<-gate
			time.Sleep(time.Millisecond)
			gate <- struct{}{}
			busy[v%2] = false
			seen.at(strconv.Itoa(v%2), v)
			<-gate
			return v, nil
		}, stepConfig{Workers: 2, Key: modulo(2)})
		pipeline.EachBatch(step, batches.add, batchConfig{Size: 2, Timeout: batchAge, Key: func(v int) string { return fmt.Sprint(v%2, v/4) }})
		b.start()
		begun := time.Now()
		b.ends(b.source.bulk(between(16, 23)...), allDone(8))
		b.is("time for two at once", time.Since(begun), "4ms")
		var of [2][]string
		for _, line := range seen.list {
			of[line[0]-'0'] = append(of[line[0]-'0'], line[1:])
		}
		b.is("order of each key", of, "[[16 18 20 22] [17 19 21 23]]")
		got := batches.text()
		for _, want := range []string{"[16 18] size", "[17 19] size", "[20 22] size", "[21 23] size"} {
			if strings.Count(got, want) != 1 {
				t.Errorf("batches: %s, not %s", got, want)
			}
		}
	}},
	{"B19_flush and bulk", func(t *testing.T) {
		b, batches := newBroadway(t), newBatchBook()
		pipeline.EachBatch(b.in, batches.add, batchConfig{Size: 2, Timeout: batchAge})
		b.start()
		begun := time.Now()
		for v := 1; v <= 5; v++ {
			b.ends(b.source.flush(v), "done")
			b.is("acks", b.source.acks(), fmt.Sprintf("done [%d]", v))
		}
		b.is("time", time.Since(begun), "0s")
		b.is("batches", batches.text(), "[1] flush, [2] flush, [3] flush, [4] flush, [5] flush")
		b.ends(b.source.bulk(1, 2, 3, 4, 5), allDone(5))
		b.is("time", time.Since(begun), "20ms")
		b.is("batches", batches.text(), "[1 2] size, [3 4] size, [5] timeout")
	}},
	{"B28_receipts go to their source, done and failed", func(t *testing.T) {
		b, second := newBroadway(t), newAcked()
		both := pipeline.Merge(b.in, pipeline.From(b.p, second, sourceConfig{Name: "second"}))
		pipeline.EachBatch(both, func(_ context.Context, events []int) error {
			errs := consumer.EventErrors{}
			for i, v := range events {
				if v%2 == 0 {
					errs[i] = errFailed
				}
			}
			return errs
		}, batchConfig{Size: 4})
		b.start()
		first, other := b.source.bulk(1, 2), second.bulk(3, 4)
		b.ends(first, "done failed")
		b.ends(other, "done failed")
		acks := func(calls string) string { return strings.ReplaceAll(calls, ",", "") }
		b.is("acks", acks(b.source.acks()), "done [1] failed [2]")
		b.is("acks of the other", acks(second.acks()), "done [3] failed [4]")
	}},
	{"B28_a batch whose function ends in any way fails as a whole", func(t *testing.T) {
		b := newBroadway(t)
		pipeline.EachBatch(b.in, func(_ context.Context, events []int) error {
			switch events[0] {
			case 1:
				panic("oops")
			case 5:
				return consumer.EventErrors{4: errFailed} // there is no such event
			case 9:
				runtime.Goexit()
			case 13:
				return errFailed
			}
			return nil
		}, batchConfig{Name: "batch", Size: 4})
		b.start()
		for first, log := range map[int]string{1: "panic: oops", 5: "no event 4 in a batch of 4", 9: "runtime.Goexit", 13: "failed"} {
			b.ends(b.source.bulk(between(first, first+3)...), "failed failed failed failed")
			time.Sleep(2 * time.Second) // one line a second
			if !b.log.has("stage=batch", log) {
				t.Errorf("no line with %q", log)
			}
			b.lived()
		}
		b.ends(b.source.bulk(17, 18, 19, 20), allDone(4))
	}},
	{"B28_an acknowledger that panics is a failure of its source", func(t *testing.T) {
		p, log := pipeline.New(pipeline.Config{Logger: quiet}), &list{}
		lives := 0
		in := pipeline.FromFunc(p, func() (stage.Producer[int], error) {
			lives++
			return &badAcknowledger{newFeed(lives), lives}, nil
		}, sourceConfig{Name: "source"})
		pipeline.EachBatch(in, func(ctx context.Context, events []int) error {
			for _, v := range events {
				_ = log.add(ctx, v)
			}
			return nil
		}, batchConfig{Size: 1})
		pipelinetest.Run(t, p)
		time.Sleep(time.Second)
		synctest.Wait()
		is(t, "events", log.all(), "[1 2]")
		for _, s := range p.Snapshot(t.Context()).Steps {
			if s.Name == "source" && (s.Restarts != 1 || !strings.Contains(s.Error, "oops")) || s.Name != "source" && s.Restarts > 0 {
				t.Errorf("%+v", s)
			}
		}
	}},
}
