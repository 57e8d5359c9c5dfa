package pubsub_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

func TestAWatchIsCalledFromTimeToTimeOnANodeOfSeveral(t *testing.T) {
	bubble(t, pubsub.Config{}, func(t *testing.T, _ *pubsubtest.Network, hubs []*pubsub.Hub) {
		var calls []time.Duration
		begin := time.Now()
		w := hubs[0].Watch("t", func() { calls = append(calls, time.Since(begin)) })
		<-time.After(12 * time.Second)
		synctest.Wait()
		w.Stop()
		want := []time.Duration{250, 750, 1750, 3750, 7750, 11750}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if fmt.Sprint(calls) != fmt.Sprint(want) {
			t.Errorf("called after %v, want %v", calls, want)
		}
		<-time.After(time.Minute)
		if len(calls) != len(want) {
			t.Error("called after Stop")
		}
	})
}

// A watch is called after its first pause, also if the pauses of earlier watches
// have become long.
func TestAWatchDoesNotWaitForThePausesOfOthers(t *testing.T) {
	bubble(t, pubsub.Config{}, func(t *testing.T, _ *pubsubtest.Network, hubs []*pubsub.Hub) {
		defer hubs[0].Watch("old", func() {}).Stop()
		<-time.After(8 * time.Second) // its next call is after 11.75 s
		var calls []time.Duration
		begin := time.Now()
		defer hubs[0].Watch("new", func() { calls = append(calls, time.Since(begin)) }).Stop()
		<-time.After(time.Second)
		synctest.Wait()
		if want := fmt.Sprint([]time.Duration{250 * time.Millisecond, 750 * time.Millisecond}); fmt.Sprint(calls) != want {
			t.Errorf("called after %v, want %v", calls, want)
		}
	})
}
