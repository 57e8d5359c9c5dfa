package stage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/stage"
)

// open is a source and sink that reports its state.
type open struct {
	source
	inspect func() any
}

func (o *open) HandleInspect() any { return o.inspect() }

func TestSnapshotHasWhatTheHandlerReports(t *testing.T) {
	bubble(t, func(t *testing.T) {
		calls := 0
		src := &open{inspect: func() any { calls++; return map[string]int{"calls": calls} }}
		p := producer(src, stage.ProducerConfig[int]{})
		c := consumer(newSink(), "C")
		subscribe(t, c, p, four)
		first, err := p.Snapshot(t.Context())
		if err != nil || first.Phase != stage.PhaseNew || first.Handler != nil {
			t.Fatalf("%+v, %v", first, err)
		}
		start(t, p, c)
		equal(t, "running", snap(t, p).Handler, map[string]int{"calls": 1})
		equal(t, "phase", snap(t, p).Phase, stage.PhaseRunning)
		equal(t, "of a consumer without", snap(t, c).Handler, nil)
		src.inspect = func() any { panic("no") }
		var failed *stage.InspectError
		if err, ok := snap(t, p).Handler.(error); !ok || !errors.As(err, &failed) {
			t.Fatalf("%v", snap(t, p).Handler)
		}
		lives(t, p, c)
		src.inspect = func() any { return "last" }
		p.Stop(errOops)
		synctest.Wait()
		last := snap(t, p)
		equal(t, "after the end", last.Handler, "last")
		equal(t, "phase", last.Phase, stage.PhaseStopped)
		equal(t, "error", last.Error, "oops")
		src.inspect = func() any { t.Error("called after the end"); return nil }
		snap(t, p)
	})
}

// TestSnapshotsOfABusyStage: those that did not come in time are not taken one after the
// other when the handler returns.
func TestSnapshotsOfABusyStage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		calls := 0
		src := &open{inspect: func() any { calls++; return calls }}
		p := producer(src, stage.ProducerConfig[int]{})
		c := consumer(newSink(), "C")
		subscribe(t, c, p, four)
		start(t, p, c)
		synctest.Wait()
		hang := make(chan struct{})
		p.Do(func() { <-hang })
		for range 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := p.Snapshot(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			cancel()
		}
		close(hang)
		synctest.Wait()
		equal(t, "snapshots taken", calls, 1)
		equal(t, "of the present", snap(t, p).Handler, 2)
		lives(t, p, c)
	})
}

func TestSnapshotHasWhatTheDispatcherReports(t *testing.T) {
	for name, tc := range map[string]struct {
		d    dispatcher.Dispatcher[int]
		cfg  stage.SubscribeConfig
		want string
	}{
		"demand":    {dispatcher.NewDemand[int](), four, `{"subscriptions":1,"demand":2,"most":2,"least":2}`},
		"broadcast": {dispatcher.NewBroadcast[int](), four, `{"subscriptions":1,"selecting":0,"demand":2,"most":2,"waiting":0,"sent":2}`},
		"partition": {
			stage.Must(dispatcher.NewPartition(2, func(v int) (int, bool) { return v % 2, true }, dispatcher.PartitionConfig{})),
			stage.SubscribeConfig{MaxDemand: 4, Partition: 1},
			`{"held":1,"capacity":10000,"demand":3,"partitions":[{"name":"0","taken":false,"demand":0,"held":1},{"name":"1","taken":true,"demand":3,"held":0}]}`,
		},
		"fair": {
			stage.Must(fair.New(func(v int) string { return fmt.Sprint(v) }, fair.Config[int]{})), four,
			`{"backlogged":0,"known":2,"held":0,"held_bytes":0,"in_flight":2,"oldest_ns":0,"longest":0,"parked":0,"delayed":0}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src, dst := &source{}, pausing(1)
				p, c := producer(src, stage.ProducerConfig[int]{Dispatcher: tc.d}), consumer(dst, "C")
				subscribe(t, c, p, tc.cfg)
				start(t, p, c)
				push(t, p, src, 1, 2)
				got, err := json.Marshal(snap(t, p).Dispatcher)
				if err != nil || string(got) != tc.want {
					t.Errorf("%s, %v; want %s", got, err, tc.want)
				}
				close(dst.gate)
				p.Stop(nil)
				synctest.Wait()
			})
		})
	}
}

func TestPipelineSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &source{}, pausing(1)
		p, m, c := producer(src, stage.ProducerConfig[int]{}), between(newPipe(1), stage.ProducerConfig[int]{}), consumer(dst, "C")
		outside := producer(&source{}, stage.ProducerConfig[int]{Name: "outside"})
		subscribePC(t, m, p, four)
		subscribe(t, c, m, stage.SubscribeConfig{MaxDemand: 10, MinDemand: 1})
		subscribe(t, c, outside, stage.SubscribeConfig{MaxDemand: 6})
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{StopTimeout: time.Second}, p, m, c))
		before := line.Snapshot(t.Context())
		equal(t, "edges before the start", len(before.Edges), 0)
		equal(t, "stages before the start", phases(before), "P new, PC new, C new")
		ctx, cancel := context.WithCancel(t.Context())
		done := run(ctx, line)
		running := line.Snapshot(t.Context())
		equal(t, "stages", phases(running), "P running, PC running, C running")
		equal(t, "edges", edges(running), []string{"P to PC: 4+0", "PC to C: 10+0", "outside to C: 6+0"})
		push(t, p, src, 1, 2)
		brief, release := context.WithTimeout(t.Context(), time.Second)
		defer release()
		held := line.Snapshot(brief) // C is in its handler
		equal(t, "stages", phases(held), "P running, PC running, C busy")
		equal(t, "edges", edges(held), []string{"P to PC: 2+0", "PC to C: 8+0"})
		dst.onEvents = func(context.Context, []int) error { <-t.Context().Done(); return nil }
		close(dst.gate) // and hangs there from now on
		synctest.Wait()
		line.Stop(nil)
		if err := <-done; !errors.Is(err, stage.ErrHung) {
			t.Fatal(err)
		}
		after := line.Snapshot(context.Background())
		equal(t, "stages after the end", phases(after), "P stopped, PC stopped, C busy")
		cancel()
	})
}

// phases writes the stages of a snapshot.
func phases(s stage.PipelineSnapshot) (all string) {
	for i, one := range s.Stages {
		if i > 0 {
			all += ", "
		}
		if one.Busy {
			one.Phase = "busy"
		}
		all += one.Name + " " + string(one.Phase)
	}
	return all
}

func edges(s stage.PipelineSnapshot) (all []string) {
	for _, e := range s.Edges {
		all = append(all, fmt.Sprintf("%s to %s: %d+%d", e.Producer, e.Consumer, e.Demand, e.InFlight))
	}
	return all
}

// What is in flight is seen from both sides, also where no receipts are wanted.
func TestEdgeCountsWhatIsInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, pc, dst := &source{}, newPipe(1), newSink()
		p, m, c := producer(src, stage.ProducerConfig[int]{}), between(pc, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribePC(t, m, p, four)
		subscribe(t, c, m, stage.SubscribeConfig{Manual: true})
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, m, c))
		done := run(t.Context(), line)
		push(t, p, src, 1, 2, 3) // the producer-consumer has no demand
		equal(t, "edges", edges(line.Snapshot(t.Context())), []string{"P to PC: 1+3", "PC to C: 0+0"})
		line.Stop(nil)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// A snapshot neither waits for a HandleStart nor for a stage that never runs.
func TestSnapshotOfAStageThatStarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := producer(&source{onStart: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}, stage.ProducerConfig[int]{})
		never := producer(&source{}, stage.ProducerConfig[int]{Name: "never"})
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, never))
		done := run(t.Context(), line)
		equal(t, "stages", phases(line.Snapshot(context.Background())), "P starting, never new")
		line.Stop(nil)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		equal(t, "stages", phases(line.Snapshot(context.Background())), "P stopped, never stopped")
	})
}

// Every name in the JSON of a snapshot is in lower case.
func TestSnapshotHasJSONNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{}
		p, c := producer(src, stage.ProducerConfig[int]{BufferSize: 1, Keep: stage.KeepLast, Dispatcher: stage.Must(fair.New(func(v int) int { return v / 10 }, fair.Config[int]{}))}), consumer(pausing(1), "C")
		subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 1})
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, c))
		done := run(t.Context(), line)
		push(t, p, src, 1, 2, 3, 4, 5)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		text, err := json.Marshal(line.Snapshot(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if names := regexp.MustCompile(`"[^"]*[A-Z][^"]*":`).FindAllString(string(text), -1); names != nil {
			t.Errorf("%v in %s", names, text)
		}
		line.Stop(nil)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// The snapshot of a stage that has stopped, for any reason, lists neither
// subscriptions nor demand, and neither does that of its dispatcher.
func TestStoppedStageHasNoSubscriptions(t *testing.T) {
	for name, end := range map[string]func(p *stage.ProducerStage[int]){
		"stopped": func(p *stage.ProducerStage[int]) { p.Stop(nil) },
		"failed":  func(p *stage.ProducerStage[int]) { p.Stop(errors.New("no")) },
		"drained": func(p *stage.ProducerStage[int]) { p.Drain() },
	} {
		for what, d := range map[string]dispatcher.Dispatcher[int]{
			"demand":    dispatcher.NewDemand[int](),
			"broadcast": dispatcher.NewBroadcast[int](),
			"partition": stage.Must(dispatcher.NewPartition(1, func(int) (int, bool) { return 0, true }, dispatcher.PartitionConfig{})),
			"fair":      stage.Must(fair.New(func(v int) int { return v }, fair.Config[int]{})),
		} {
			bubble(t, func(t *testing.T) {
				src := &source{}
				cfg := four
				if what == "partition" {
					cfg.Partition = 0
				}
				p := producer(src, stage.ProducerConfig[int]{Dispatcher: d})
				c := consumer(newSink(), "C")
				subscribe(t, c, p, cfg)
				start(t, p, c)
				synctest.Wait()
				if s := snap(t, p); len(s.Subscriptions) != 1 || s.Demand == 0 || s.Pending == 0 {
					t.Fatalf("%s: %+v", what, s)
				}
				end(p)
				<-p.Stopped()
				<-c.Stopped()
				for _, s := range []stage.Snapshot{snap(t, p), snap(t, c)} {
					if len(s.Subscriptions) > 0 || s.Demand != 0 || s.Pending != 0 {
						t.Errorf("%s, %s: %+v", name, what, s)
					}
				}
				switch s := snap(t, p).Dispatcher.(type) {
				case dispatcher.DemandSnapshot:
					equal(t, what, s, dispatcher.DemandSnapshot{})
				case dispatcher.BroadcastSnapshot:
					equal(t, what, s, dispatcher.BroadcastSnapshot{})
				case dispatcher.PartitionSnapshot:
					equal(t, what, s.Demand, 0)
					equal(t, what, s.Partitions[0].Taken, false)
				}
			})
		}
	}
}
