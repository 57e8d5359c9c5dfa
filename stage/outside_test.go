//go:build !race

package stage_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/stage"
)

// An event that another goroutine emits while the stage rests stops the stage at
// once. The race detector reports the same programs.
func TestEmitFromAnotherGoroutine(t *testing.T) {
	for name, emit := range map[string]func(e *stage.Emitter[int]){
		"Emit":    func(e *stage.Emitter[int]) { e.Emit(1) },
		"EmitAll": func(e *stage.Emitter[int]) { e.EmitAll([]int{1}) },
		"Slots":   func(e *stage.Emitter[int]) { e.Slots(1)[0] = 1 },
		// As if the stage were awake before the event is there.
		"nothing": func(e *stage.Emitter[int]) { e.EmitAll(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src, dst := &source{}, newSink()
				p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
				subscribe(t, c, p, four)
				start(t, p, c)
				push(t, p, src, 0)
				emit(src.emit)
				synctest.Wait()
				died(t, p, stage.ErrOutside)
				var failed *stage.Error
				if !errors.As(p.Err(), &failed) || failed.Handler != "Emit" {
					t.Error(p.Err())
				}
				equal(t, "events", dst.events(), []int{0})
				snap(t, p)
			})
		})
	}
}

// Mistakes that the race detector reports as well.
func init() {
	for name, use := range map[string]func(e *stage.Emitter[int], held stage.Held){
		"Emit":     func(e *stage.Emitter[int], _ stage.Held) { e.Emit(1) },
		"From":     func(e *stage.Emitter[int], _ stage.Held) { e.From(0) },
		"FromEach": func(e *stage.Emitter[int], _ stage.Held) { e.FromEach(0) },
		"Fail":     func(e *stage.Emitter[int], _ stage.Held) { e.Fail(0, errOops) },
		"Hold":     func(e *stage.Emitter[int], _ stage.Held) { e.Hold(0) },
		"For":      func(e *stage.Emitter[int], held stage.Held) { e.For(held) },
		"Finish":   func(e *stage.Emitter[int], held stage.Held) { e.Finish(nil, held) },
	} {
		mistakes["an emitter in another goroutine: "+name] = mistake{make: func(k *bench) error {
			h := newCrew()
			m := between(h, stage.ProducerConfig[int]{Name: "X", Logger: k.log.logger()})
			k.all = append(k.all, m)
			subscribePC(k.t, m, k.p, stage.SubscribeConfig{Redeliver: true})
			subscribe(k.t, k.c, m, stage.SubscribeConfig{Cancel: stage.Temporary})
			start(k.t, k.p, m, k.c)
			push(k.t, k.p, k.src, 1)
			use(h.emit, h.tasks[0].held)
			synctest.Wait()
			return m.Err()
		}, err: stage.ErrOutside}
	}
}
