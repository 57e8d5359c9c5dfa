package kafka

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/stage"
)

// userOf has 7 of 10 records belong to one user, and the others to 50.
func userOf(record string) string {
	if o := offsetOf(record); o%10 >= 7 {
		return fmt.Sprint("user ", o%50)
	}
	return "flooder"
}

// A user floods a partition with more records than any bound holds, behind fair and before
// a pool with their defaults. Nothing is lost, each user's order is kept, nothing that is
// not finished is committed, also when the member dies in the middle.
func TestFloodBehindFairLosesNothing(t *testing.T) {
	for name, cfg := range map[string]fair.Config[string]{
		"defaults": {},
		"small":    {MaxEvents: 100},
		"key":      {KeyMaxEvents: 10},
	} {
		for _, dies := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/dies=%v", name, dies), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { floodBehindFair(t, cfg, dies) })
			})
		}
	}
}

func floodBehindFair(t *testing.T, cfg fair.Config[string], dies bool) {
	const n = 12_000 // the window is 10,000
	w := newWorld(t, virtual(1))
	w.produce(n, 0)
	join := func(name string) *member {
		return w.joinWith(w.config(), func(m *member) []stage.Stage {
			users := stage.Must(fair.New(userOf, cfg))
			pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, record string) error {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Millisecond):
				}
				if !m.crashed() {
					w.done(name+" "+userOf(record), record)
				}
				return nil
			}, consumer.SupervisorConfig[string]{}))
			source := stage.Must(stage.NewProducer(m.producer, stage.ProducerConfig[string]{Name: "source", Dispatcher: users}))
			end := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{Name: "pool"}))
			subscribe(t, end, source, stage.SubscribeConfig{})
			return []stage.Stage{source, end}
		})
	}
	last := join("first")
	if dies {
		first := last
		w.wait("half of the records", func() bool { return len(w.handled) >= n/2 })
		first.crash()
		_ = first.ended()
		first.end("crashed")
		last = join("second")
	}
	w.waitAll()
	last.leave()
	if repeated := w.check(); repeated > 0 && !dies {
		t.Errorf("%d records were handled twice", repeated)
	}
	if c := w.committed()["0"]; c != n {
		t.Errorf("%d of %d are committed", c, n)
	}
}

// Records that cannot be used are counted, recorded and logged, with the number of them and
// at most once a second.
func TestPoisonIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(1))
		w.produce(5, 0)
		var mu sync.Mutex
		var log bytes.Buffer
		r := metricstest.New()
		cfg := w.config()
		cfg.Metrics = r
		cfg.Logger = slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return log.Write(p)
		}), nil))
		cfg.Decode = func(record *kgo.Record) (string, error) {
			w.done("", name(record.Partition, record.Offset)) // it may be committed
			return "", errStoreFull
		}
		m := w.join(cfg, w.handler("first"), stage.SubscribeConfig{})
		w.wait("the records", func() bool { return len(w.handled) == 5 })
		m.leave()
		if n := m.producer.Snapshot().Poison; n != 5 || r.Count("kafka.poison") != 5 {
			t.Errorf("%d are counted, %d recorded", n, r.Count("kafka.poison"))
		}
		mu.Lock()
		defer mu.Unlock()
		if text := log.String(); strings.Count(text, "records not usable") != 2 ||
			!strings.Contains(text, "records=1 ") || !strings.Contains(text, "records=4 ") {
			t.Errorf("the log has %q", text)
		}
	})
}

// writerFunc is a function as an io.Writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
