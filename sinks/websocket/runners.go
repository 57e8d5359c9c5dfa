package websocket

import (
	"sync"
	"time"
)

// runners runs short work in goroutines that wait for more when it is done. Their stacks have
// grown by then: a new goroutine would grow its own for each message, which costs more
// than the rest of its beginning.
//
// At most maxWaiting wait, for at most twice idleRunner; there is no bound on those that
// work. An endpoint without a connection keeps none, nor does one that closes.
type runners struct {
	work *tracker

	mu      sync.Mutex
	waiting []*runner   // the one that worked last is the last
	unused  int         // how many of them have not been needed since the timer began
	timer   *time.Timer // runs while one waits
	used    bool        // there are connections
	closed  bool
}

// runner is one of the goroutines. Its channel is closed when it must end.
type runner struct{ next chan runnable }

// runnable is work for a runner.
type runnable interface{ run() }

const (
	maxWaiting = 64
	idleRunner = 100 * time.Millisecond
)

// run runs r in another goroutine. It does not block, and may be called with a Channel.mu held.
func (rs *runners) run(r runnable) {
	rs.mu.Lock()
	if last := len(rs.waiting) - 1; last >= 0 {
		one := rs.waiting[last]
		rs.waiting[last] = nil
		rs.waiting = rs.waiting[:last]
		rs.unused = min(rs.unused, last)
		rs.mu.Unlock()
		one.next <- r // never blocks: it has room for one, and only one that waits is given work
		return
	}
	rs.mu.Unlock()
	rs.work.add()
	go rs.loop(r)
}

// loop is a runner. Work that ends the goroutine, as runtime.Goexit does, ends it alone.
func (rs *runners) loop(r runnable) {
	defer rs.work.done()
	var one *runner
	for {
		r.run()
		r = nil // not kept alive while the runner waits
		if one == nil {
			one = &runner{next: make(chan runnable, 1)}
		}
		if !rs.wait(one) {
			return
		}
		if r = <-one.next; r == nil {
			return
		}
	}
}

// wait adds a runner to those that wait. It returns false if it must end.
func (rs *runners) wait(one *runner) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.closed || !rs.used || len(rs.waiting) == maxWaiting {
		return false
	}
	rs.waiting = append(rs.waiting, one)
	switch {
	case len(rs.waiting) > 1:
	case rs.timer == nil:
		rs.unused = 0
		rs.timer = time.AfterFunc(idleRunner, rs.release)
	default:
		rs.unused = 0
		rs.timer.Reset(idleRunner)
	}
	return true
}

// release ends the runners that were not needed since the timer began.
func (rs *runners) release() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.closed { // while it waited for the mutex
		return
	}
	rs.end(rs.unused)
	if rs.unused = len(rs.waiting); rs.unused > 0 {
		rs.timer.Reset(idleRunner)
	}
}

// end ends the first n that wait, which have waited longest. The mutex is held.
func (rs *runners) end(n int) {
	for _, one := range rs.waiting[:n] {
		close(one.next)
	}
	left := copy(rs.waiting, rs.waiting[n:])
	clear(rs.waiting[left:])
	rs.waiting = rs.waiting[:left]
}

// use says whether there are connections. It may be called with a registry.mu held.
func (rs *runners) use(used bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.used = used; !used {
		rs.end(len(rs.waiting))
		rs.unused = 0
	}
}

// close ends the runners that wait, and each other one when its work is done.
func (rs *runners) close() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.closed = true
	rs.end(len(rs.waiting))
	rs.unused = 0
	if rs.timer != nil {
		rs.timer.Stop()
	}
}
