package producer_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// logged is a log that a timer may write to while a test reads it.
type logged struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestAQueueWithoutAStageIsLogged: a Push that waits since no stage was ever started has a
// line in the log, once, whatever the overflow does.
func TestAQueueWithoutAStageIsLogged(t *testing.T) {
	for _, overflow := range []producer.Overflow{producer.Refuse, producer.DropOldest, producer.DropNewest} {
		synctest.Test(t, func(t *testing.T) {
			var log logged
			q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{
				Capacity: 2, Overflow: overflow, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			}))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for n := range 2 {
				if err := q.Push(ctx, n); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(9 * time.Second)
			if overflow == producer.Refuse {
				go func() {
					if err := q.Push(ctx, 2); !errors.Is(err, producer.ErrFull) {
						t.Error(err)
					}
				}()
			}
			synctest.Wait()
			if strings.Contains(log.String(), "nothing was taken") {
				t.Error("logged before ten seconds")
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			text := log.String()
			if strings.Count(text, "nothing was taken") != 1 || !strings.Contains(text, "was its pipeline run?") || !strings.Contains(text, "events=2") {
				t.Errorf("overflow %v:\n%s", overflow, text)
			}
			if overflow == producer.Refuse && !strings.Contains(text, "pushes_waiting=1") {
				t.Errorf("no waiting push:\n%s", text)
			}
		})
	}
}

// TestAQueueWhoseStageHasNoSubscriberIsLogged: the stage runs, and nothing asks it.
func TestAQueueWhoseStageHasNoSubscriberIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
		source := stage.Must(stage.NewProducer(q, stage.ProducerConfig[int]{}))
		if err := source.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := q.TryPush(1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if text := log.String(); !strings.Contains(text, "does a stage that runs subscribe to it?") {
			t.Errorf("got:\n%s", text)
		}
		source.Stop(nil)
		<-source.Stopped()
	})
}

// TestAQueueThatIsUsedOrClosedIsNotLogged: not even when its consumer is slow.
func TestAQueueThatIsUsedOrClosedIsNotLogged(t *testing.T) {
	for _, drain := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log logged
			q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
			for n := range 5 {
				if err := q.TryPush(n); err != nil {
					t.Fatal(err)
				}
			}
			if drain {
				q.Drain()
				time.Sleep(time.Minute)
			} else {
				p := startPipe(t, q, stage.SubscribeConfig{MaxDemand: 1})
				p.await(5)
				time.Sleep(time.Minute)
			}
			synctest.Wait()
			if strings.Contains(log.String(), "nothing was taken") {
				t.Errorf("drained %v:\n%s", drain, log.String())
			}
		})
	}
}
