package websocket

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// runFunc is a function as work for a runner.
type runFunc func()

func (f runFunc) run() { f() }

// TestRunners: they wait for more work, for a while, and up to a bound; not after the end.
func TestRunners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := &tracker{zero: make(chan struct{}, 1)}
		rs := &runners{work: work, used: true}
		ran := 0
		state := func(what string, waiting, alive int) {
			t.Helper()
			synctest.Wait()
			rs.mu.Lock()
			defer rs.mu.Unlock()
			if n := int(work.n.Load()); len(rs.waiting) != waiting || n != alive {
				t.Errorf("%s: %d wait and %d live, want %d and %d", what, len(rs.waiting), n, waiting, alive)
			}
		}
		for range 10 {
			rs.run(runFunc(func() { ran++ }))
			state("one after another", 1, 1)
		}
		if ran != 10 {
			t.Errorf("%d have run, want 10", ran)
		}

		hold := make(chan struct{})
		for range maxWaiting + 5 {
			rs.run(runFunc(func() { <-hold }))
		}
		state("at once", 0, maxWaiting+5)
		close(hold)
		state("more than may wait", maxWaiting, maxWaiting)
		time.Sleep(idleRunner)
		for range 3 {
			rs.run(runFunc(func() {}))
			synctest.Wait()
		}
		time.Sleep(2 * idleRunner)
		state("not needed any more", 0, 0)

		rs.run(runFunc(runtime.Goexit))
		state("ends its goroutine", 0, 0)

		rs.run(runFunc(func() {}))
		state("before the last connection ends", 1, 1)
		rs.use(false)
		state("without a connection", 0, 0)
		rs.run(runFunc(func() {}))
		state("after the last connection", 0, 0)

		rs.use(true)
		rs.run(runFunc(func() {}))
		state("before the end", 1, 1)
		time.Sleep(idleRunner) // the next tick would end it
		state("after a tick", 1, 1)
		rs.close()
		rs.release() // the tick at the same instant, which has waited for the mutex
		state("the end", 0, 0)
		rs.run(runFunc(func() { ran++ }))
		if state("after the end", 0, 0); ran != 11 {
			t.Error("not run after the end")
		}
	})
}
