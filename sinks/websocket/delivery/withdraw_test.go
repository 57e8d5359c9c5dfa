package delivery_test

import (
	"testing"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
)

// TestADrainLeavesWhatAClientHasNotGot to the source: what the client had taken when it was
// closed, and what comes after it. Users who are away all the time lose theirs as usual.
func TestADrainLeavesWhatAClientHasNotGot(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Second} {
		bubble(t, func(t *testing.T) {
			r := start(t, options{
				queue: websocket.QueueConfig{Events: 4}, write: 2 * time.Second,
				config: delivery.Config[push]{WithdrawOnDrain: true, DiscardAbsent: grace == 0, Grace: grace},
			})
			mute, _ := r.join("mute")
			mute.Pause()
			first := r.push("mute", "away", "mute", "mute")
			begin := time.Now()
			if err := r.drain(); err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); took > 3*time.Second+grace {
				t.Errorf("the drain took %v", took)
			}
			left := receipt.Withdrawn.String()
			r.expect(first, left, noSubscriber, left, left)
			if s := r.sockets[0].Snapshot(); s.Withdrawn != 3 || s.Failed != 0 || s.Discarded[delivery.NoSubscriber] != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}
