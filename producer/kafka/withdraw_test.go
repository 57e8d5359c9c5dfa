package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/stage"
)

// users is how many users the records of a partition belong to, in turn.
const users = 10

// ownerOfEvent returns the user of a record, who is in one partition.
func ownerOfEvent(event string) string {
	var partition, offset int
	_, _ = fmt.Sscanf(event, "%d/%d", &partition, &offset)
	return fmt.Sprint(partition, "-", offset%users)
}

// timeline is what several members have begun and handled, in order.
type timeline struct {
	w      *world
	begun  []string // "member event"
	busy   map[string]int
	late   []string // begun by a member after another one had a later record of the user
	newest map[string]int
}

func newTimeline(w *world) *timeline {
	return &timeline{w: w, busy: map[string]int{}, newest: map[string]int{}}
}

// worker returns a function for a member's pool that takes d for each event.
func (l *timeline) worker(member string, d time.Duration) func(context.Context, string) error {
	return func(ctx context.Context, event string) error {
		var p, offset int
		_, _ = fmt.Sscanf(event, "%d/%d", &p, &offset)
		l.w.mu.Lock()
		user := ownerOfEvent(event)
		if before, ok := l.newest[user]; ok && offset < before && l.w.handled[event] == 0 {
			l.late = append(l.late, fmt.Sprintf("%s %s after %d", member, event, before))
		}
		l.newest[user] = max(l.newest[user], offset)
		l.begun = append(l.begun, member+" "+event)
		l.busy[member]++
		l.w.mu.Unlock()
		defer func() {
			l.w.mu.Lock()
			l.busy[member]--
			l.w.mu.Unlock()
		}()
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
		l.w.done(member, event)
		return nil
	}
}

// joinFair starts a member that reads far ahead into a fair dispatcher, before a pool.
func (l *timeline) joinFair(cfg Config[string], name string, workers int, d time.Duration) *member {
	l.w.t.Helper()
	return l.w.joinWith(cfg, func(m *member) []stage.Stage {
		source := stage.Must(stage.NewProducer(m.producer, stage.ProducerConfig[string]{
			Name: "source", Dispatcher: stage.Must(fair.New(ownerOfEvent, fair.Config[string]{})),
		}))
		end := stage.Must(stage.NewConsumer(
			stage.Must(consumer.NewSupervisor(l.worker(name, d), consumer.SupervisorConfig[string]{MaxDemand: workers})),
			stage.ConsumerConfig{Name: "pool"}))
		subscribe(l.w.t, end, source, stage.SubscribeConfig{})
		return []stage.Stage{source, end}
	})
}

// owned returns the partitions that a member has.
func owned(m *member) (list []int32) {
	for _, p := range m.producer.Snapshot().Partitions {
		list = append(list, p.Partition)
	}
	return list
}

// check fails for records of a user that were begun out of order, or lost, and returns how
// often records were repeated.
func (l *timeline) check() (repeated int) {
	l.w.t.Helper()
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	for _, s := range append(l.late, l.w.wrong...) {
		l.w.t.Error(s)
	}
	for id := range l.w.produced {
		if l.w.handled[id] == 0 {
			l.w.t.Errorf("%s was lost", id)
		}
		repeated += max(0, l.w.handled[id]-1)
	}
	return repeated
}

// Behind a fair dispatcher with a second of slow work, a revoked partition goes to another
// member when what was begun is finished; the rest of what was read ahead goes back at
// once. Each user's records are begun in order over both members.
func TestRevokeWithdrawsWhatWasReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, pause = 8, 400 * time.Millisecond
		w := newWorld(t, virtual(4))
		w.produce(500, 0, 1, 2, 3)
		l := newTimeline(w)
		cfg := w.config()
		cfg.CommitInterval = time.Minute
		first := l.joinFair(cfg, "first", workers, pause)
		w.wait("some", func() bool { return len(w.handled) >= 100 })
		if s := first.producer.Snapshot(); s.Records < 2000 {
			t.Fatalf("only %d were read ahead", s.Records)
		}
		second := l.joinFair(cfg, "second", workers, pause)
		w.wait("the second member's assignment", func() bool { return len(w.order["second"]) > 0 })
		s := first.producer.Snapshot()
		if s.Withdrawn < 500 || s.LeftInFlight > 0 {
			t.Errorf("%d came back, %d were left in flight", s.Withdrawn, s.LeftInFlight)
		}
		mine := owned(first)
		w.mu.Lock()
		// From here on the first member begins nothing of the partitions that have moved.
		at := slices.IndexFunc(l.begun, func(b string) bool { return strings.HasPrefix(b, "second") })
		w.mu.Unlock()
		w.waitAll()
		for _, b := range l.begun[at:] {
			var p int32
			if _, err := fmt.Sscanf(b, "first %d/", &p); err == nil && !slices.Contains(mine, p) {
				t.Errorf("the first member begins %s after the second has begun", b)
			}
		}
		first.leave()
		second.leave()
		repeated := l.check()
		t.Logf("%d came back, %d were repeated", s.Withdrawn, repeated)
		if repeated > workers {
			t.Errorf("%d were repeated, at most %d were in flight", repeated, workers)
		}
	})
}

// A drain with a full read-ahead waits for what was begun, and for nothing else.
func TestDrainGivesBackWhatWasReadAhead(t *testing.T) {
	for name, build := range map[string]func(l *timeline, cfg Config[string]) *member{
		"fair": func(l *timeline, cfg Config[string]) *member { return l.joinFair(cfg, "first", 8, time.Second) },
		"a chain with buffers": func(l *timeline, cfg Config[string]) *member {
			return l.w.joinWith(cfg, func(m *member) []stage.Stage {
				source := stage.Must(stage.NewProducer(m.producer, stage.ProducerConfig[string]{Name: "source"}))
				parse := stage.Must(stage.NewProducerConsumer(
					stage.MapFunc[string, string](func(_ context.Context, e string) (string, error) { return e, nil }),
					stage.ProducerConfig[string]{Name: "parse", Dispatcher: stage.Must(fair.New(ownerOfEvent, fair.Config[string]{}))}))
				end := stage.Must(stage.NewConsumer(
					stage.Must(consumer.NewForEach(l.worker("first", time.Second), consumer.ForEachConfig[string]{})),
					stage.ConsumerConfig{Name: "end"}))
				if _, err := parse.Subscribe(source, stage.SubscribeConfig{}); err != nil {
					l.w.t.Fatal(err)
				}
				subscribe(l.w.t, end, parse, stage.SubscribeConfig{MaxDemand: 4, MinDemand: 3})
				return []stage.Stage{source, parse, end}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, virtual(2))
				w.produce(1000, 0, 1)
				l := newTimeline(w)
				first := build(l, w.config())
				w.wait("some", func() bool { return len(w.handled) >= 20 })
				if s := first.producer.Snapshot(); s.Records < 1000 {
					t.Fatalf("only %d were read ahead", s.Records)
				}
				time.Sleep(500 * time.Millisecond) // all workers are in the middle of their second
				w.mu.Lock()
				handled, busy := len(w.handled), l.busy["first"]
				w.mu.Unlock()
				begun := time.Now()
				first.leave()
				if d := time.Since(begun); d > 4*time.Second {
					t.Errorf("the drain took %v", d)
				}
				w.mu.Lock()
				more := len(w.handled) - handled
				w.mu.Unlock()
				if more > busy+4 {
					t.Errorf("%d were handled in the drain, %d had been begun", more, busy)
				}
				second := l.joinFair(w.config(), "second", 100, time.Millisecond)
				w.waitAll()
				second.leave()
				if repeated := l.check(); repeated > busy {
					t.Errorf("%d were repeated, %d were in flight", repeated, busy)
				}
			})
		})
	}
}

// With FinishReadAhead a drain waits for all that was read ahead, and gives nothing back.
func TestFinishReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(2))
		w.produce(1000, 0, 1)
		l := newTimeline(w)
		cfg := w.config()
		cfg.FinishReadAhead = true
		first := l.joinFair(cfg, "first", 8, 10*time.Millisecond)
		w.wait("some", func() bool { return len(w.handled) >= 20 })
		first.leave()
		w.mu.Lock()
		handled := len(w.handled)
		w.mu.Unlock()
		if s := first.producer.Snapshot(); s.Records < 1000 || s.Withdrawn > 0 || handled < 1000 {
			t.Errorf("%d handled of %d read, %d came back", handled, s.Records, s.Withdrawn)
		}
		l.check()
	})
}
