package stage_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/stage"
)

// What a transform still holds at its end is counted: by its producer if that lives, and
// otherwise by the transform.
func TestWhatIsHeldAtTheEndIsCounted(t *testing.T) {
	for name, end := range map[string]func(stage.Stage){
		"stop":  func(s stage.Stage) { s.Stop(nil) },
		"crash": func(s stage.Stage) { s.Do(func() { panic(errOops) }) },
		"drain": func(s stage.Stage) { s.Drain() },
	} {
		for _, orphan := range []bool{true, false} {
			bubble(t, func(t *testing.T) {
				k := newChain(t, stage.SubscribeConfig{Cancel: stage.Temporary}, &pairs{pipe: *newPipe(0)})
				k.push(1, 2, 3) // 1 and 2 are passed on, and 3 is held
				if orphan {
					k.p.Stop(nil)
					synctest.Wait()
				}
				k.w.settle(k.sub, 0, nil, 0)
				synctest.Wait()
				end(k.mid[0])
				k.c.Stop(nil)
				synctest.Wait()
				want := [2]int64{1, 0}
				if orphan {
					want = [2]int64{0, 1}
				}
				equal(t, name+": abandoned, unhandled", [2]int64{snap(t, k.p).Abandoned, snap(t, k.mid[0]).Unhandled}, want)
			})
		}
	}
}

// lingering is a consumer whose HandleTerminate takes until it is released.
type lingering struct{ release chan struct{} }

func (*lingering) HandleEvents(context.Context, []int) error { return nil }

func (h *lingering) HandleTerminate(context.Context, error) error { <-h.release; return nil }

// Events that are delivered to a consumer which has stopped, but has not said goodbye yet,
// are counted once, whether the producer lives to take the goodbye or not.
func TestEventsForAConsumerInItsTerminationAreCounted(t *testing.T) {
	for _, receipts := range []bool{true, false} {
		for _, first := range []bool{true, false} {
			bubble(t, func(t *testing.T) {
				acks, h := &acking{}, &lingering{make(chan struct{})}
				var from stage.Producer[int] = &acks.source
				if receipts {
					from = acks
				}
				p, c := producer(from, stage.ProducerConfig[int]{}), consumer(h, "C")
				subscribe(t, c, p, stage.SubscribeConfig{})
				start(t, p, c)
				synctest.Wait()
				c.Stop(nil)
				synctest.Wait()
				push(t, p, &acks.source, 1, 2)
				if first {
					p.Stop(nil)
					synctest.Wait()
				}
				close(h.release)
				synctest.Wait()
				p.Stop(nil)
				synctest.Wait()
				equal(t, "delivered, abandoned, unhandled",
					[3]int64{snap(t, p).Delivered, snap(t, p).Abandoned, snap(t, c).Unhandled}, [3]int64{2, 2, 0})
			})
		}
	}
}
