package main

import (
	"os"
	"time"
)

// sameSignal is how soon after the first a second signal counts as the same one: some
// programs signal a process and then its group, which it is a member of.
const sameSignal = 50 * time.Millisecond

// heed calls end at the first signal and abort at the second. It returns then, or when
// finished is closed.
func heed(signals <-chan os.Signal, finished <-chan struct{}, end, abort func()) {
	var first time.Time
	for {
		select {
		case <-signals:
		case <-finished:
			return
		}
		switch {
		case first.IsZero():
			first = time.Now()
			end()
		case time.Since(first) >= sameSignal:
			abort()
			return
		}
	}
}
