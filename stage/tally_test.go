package stage_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// The failures of the second after a line are logged when it is over, also by a stage that
// rests, and at its end.
func TestEveryFailedEventIsInTheLog(t *testing.T) {
	for name, limit := range map[string]int{"at rest": 0, "at the end": 9} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log lines
				src := &source{counting: limit > 0, limit: limit}
				p := producer(src, stage.ProducerConfig[int]{})
				m := stage.Must(stage.NewProducerConsumer(stage.MapFunc[int, int](func(context.Context, int) (int, error) {
					return 0, errOops
				}), stage.ProducerConfig[int]{Name: "M", Logger: log.logger()}))
				stage.Must(m.Subscribe(p, stage.SubscribeConfig{}))
				c := stage.Must(stage.NewConsumer(newSink(), stage.ConsumerConfig{}))
				stage.Must(c.Subscribe(m, stage.SubscribeConfig{}))
				start(t, c, m, p)
				if limit == 0 {
					push(t, p, src, upTo(0, 9)...)
					time.Sleep(2 * time.Second)
				} else {
					<-m.Stopped()
				}
				equal(t, "first line", len(log.with("event failed", "failed=1 ")), 1)
				equal(t, "the others", len(log.with("event failed", "failed=9 ")), 1)
				equal(t, "lines", len(log.with("event failed")), 2)
				p.Stop(nil)
				synctest.Wait()
			})
		})
	}
}
