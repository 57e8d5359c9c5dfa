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
