package main

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestSecondSignal: one that comes with the first, as from timeout(1), ends nothing at
// once; a later one does.
func TestSecondSignal(t *testing.T) {
	for _, tt := range []struct {
		after []time.Duration // since the signal before
		want  int             // aborts
	}{
		{after: []time.Duration{0}, want: 0},
		{after: []time.Duration{0, 0}, want: 0},
		{after: []time.Duration{0, sameSignal - 1}, want: 0},
		{after: []time.Duration{0, sameSignal}, want: 1},
		{after: []time.Duration{0, 0, time.Second}, want: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			signals, finished := make(chan os.Signal, 2), make(chan struct{})
			ends, aborts := 0, 0
			go heed(signals, finished, func() { ends++ }, func() { aborts++ })
			for _, d := range tt.after {
				time.Sleep(d)
				signals <- syscall.SIGTERM
			}
			synctest.Wait()
			close(finished)
			synctest.Wait()
			if ends != 1 || aborts != tt.want {
				t.Errorf("%v: %d ends, %d aborts, want 1 and %d", tt.after, ends, aborts, tt.want)
			}
		})
	}
}
