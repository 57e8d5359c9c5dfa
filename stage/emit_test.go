package stage_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// echoing is a source that emits from HandleReceipts and HandleDrain.
type echoing struct {
	source
	onReceipts func(receipts []stage.Receipt)
	onDrain    func() error
}

func (s *echoing) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	s.onReceipts(receipts)
	return nil
}

func (s *echoing) HandleDrain(context.Context) error { return s.onDrain() }

// What is emitted by a handler, any of them, leaves at once rather than with the
// next mail.
func TestEmissionsOfAnyHandlerLeaveAtOnce(t *testing.T) {
	for name, provoke := range map[string]func(t *testing.T, s *echoing, p *stage.ProducerStage[int], other *stage.Subscription[int]){
		"HandleReceipts": func(t *testing.T, s *echoing, p *stage.ProducerStage[int], _ *stage.Subscription[int]) {
			s.onReceipts = func(receipts []stage.Receipt) {
				if receipts[0].First == 0 {
					s.emit.Emit(100)
				}
			}
			push(t, p, &s.source, 1)
		},
		"HandleCancel": func(_ *testing.T, s *echoing, _ *stage.ProducerStage[int], other *stage.Subscription[int]) {
			s.onCancel = func(error) error { s.emit.EmitAll([]int{1, 100}); return nil }
			other.Cancel(errOops)
		},
		"HandleInfo": func(_ *testing.T, s *echoing, _ *stage.ProducerStage[int], _ *stage.Subscription[int]) {
			s.onInfo = func(any) error { s.emit.EmitAll([]int{1, 100}); return nil }
			s.self.Send("now")
		},
		"SendBehind": func(_ *testing.T, s *echoing, _ *stage.ProducerStage[int], _ *stage.Subscription[int]) {
			s.onInfo = func(any) error { s.emit.EmitAll([]int{1, 100}); return nil }
			s.self.SendBehind("now")
		},
		"HandleWake": func(_ *testing.T, s *echoing, _ *stage.ProducerStage[int], _ *stage.Subscription[int]) {
			s.onWake = func() error { s.emit.EmitAll([]int{1, 100}); return nil }
			s.self.Wake()
		},
		"HandleDrain": func(_ *testing.T, s *echoing, p *stage.ProducerStage[int], _ *stage.Subscription[int]) {
			s.onDrain = func() error { s.emit.EmitAll([]int{1, 100}); return nil }
			p.Drain()
		},
		"Do": func(_ *testing.T, s *echoing, p *stage.ProducerStage[int], _ *stage.Subscription[int]) {
			p.Do(func() { s.emit.EmitAll([]int{1, 100}) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, dst := &echoing{}, newSink()
				s.onReceipts, s.onDrain = func([]stage.Receipt) {}, func() error { return nil }
				// The dispatcher serves C first.
				p, c := producer(s, stage.ProducerConfig[int]{}), consumer(dst, "C")
				subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 10})
				idle := consumer(newSink(), "idle")
				other := subscribe(t, idle, p, stage.SubscribeConfig{Manual: true, Cancel: stage.Temporary})
				start(t, p, c, idle)
				provoke(t, s, p, other)
				synctest.Wait()
				equal(t, "events", dst.events(), []int{1, 100})
				snap(t, p)
			})
		})
	}
}

// The same holds for a producer-consumer, whichever side the handler is called for.
func TestEmissionsOfAProducerConsumerLeaveAtOnce(t *testing.T) {
	for name, provoke := range map[string]func(src *source, p *stage.ProducerStage[int], m *stage.ProducerConsumerStage[int, int], up *stage.Subscription[int]){
		"cancelled": func(_ *source, _ *stage.ProducerStage[int], _ *stage.ProducerConsumerStage[int, int], up *stage.Subscription[int]) {
			up.Cancel(nil)
		},
		"producer ends": func(src *source, _ *stage.ProducerStage[int], _ *stage.ProducerConsumerStage[int, int], _ *stage.Subscription[int]) {
			src.onInfo = func(any) error { return stage.ErrDone }
			src.self.Send("end")
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src, pc, dst := &source{}, newPipe(1), newSink()
				pc.onCancel = func(stage.SubscriptionInfo, error) error { pc.emit.EmitAll([]int{1, 100}); return nil }
				p, m, c := producer(src, stage.ProducerConfig[int]{}), between(pc, stage.ProducerConfig[int]{}), consumer(dst, "C")
				up := subscribePC(t, m, p, stage.SubscribeConfig{Cancel: stage.Temporary})
				subscribe(t, c, m, stage.SubscribeConfig{MaxDemand: 10})
				start(t, p, m, c)
				provoke(src, p, m, up)
				synctest.Wait()
				equal(t, "events", dst.events(), []int{1, 100})
				snap(t, m)
			})
		})
	}
}

// A source that emits on its last receipt before it ends loses nothing of it.
func TestEmissionOnTheLastReceipt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, dst := &echoing{}, newSink()
		s.counting, s.limit = true, 1
		s.onReceipts = func(receipts []stage.Receipt) {
			if receipts[0].First == 0 && receipts[0].Outcome == receipt.Done {
				s.emit.Emit(100)
			}
		}
		p, c := producer(s, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()}), consumer(dst, "C")
		subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 10})
		start(t, c, p)
		snap(t, p)
		equal(t, "discarded", snap(t, p).Discarded, map[receipt.Reason]int64{receipt.Stopped: 1})
		equal(t, "events", dst.events(), []int{0})
	})
}
