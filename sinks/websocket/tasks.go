package websocket

import (
	"context"

	"github.com/penstock-go/penstock/internal/crash"
)

// defaultTasks is the default of ChannelConfig.MaxTasks.
const defaultTasks = 16

// Go runs a task in a goroutine of its own, so that long work does not hold up the
// channel; with a [Ref] the task can reply when it is done. For each channel at
// most ChannelConfig.MaxTasks run at a time: beyond that the error is
// [ErrTooManyTasks], which the handler should report to its client. After the end
// of the channel it is [ErrNotJoined].
//
// A task counts until it has returned, so a client that has its reply may ask
// again a moment too early.
//
// ctx ends with the channel; Close waits for the task. A task that panics, or
// calls runtime.Goexit, crashes the channel.
func (ch *Channel) Go(task func(ctx context.Context)) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.state >= ending || ch.reason != nil {
		return ErrNotJoined
	}
	r := ch.more()
	if r.tasks >= ch.route.cfg.MaxTasks {
		return ErrTooManyTasks
	}
	// Under the mutex with the check of state, so that no task starts after the end.
	r.tasks++
	ch.sess.endpoint().spawn(func() { ch.runTask(task) })
	return nil
}

// runTask runs a task in its goroutine.
func (ch *Channel) runTask(task func(ctx context.Context)) {
	normal := false
	defer func() {
		// Not terminate, which belongs to the goroutine that runs the handler.
		if v := recover(); v != nil {
			ch.cut(&CrashError{Err: crash.Of(v)})
		} else if !normal {
			ch.cut(&CrashError{Err: ErrGoexit})
		}
		ch.mu.Lock()
		ch.rare.tasks--
		if ch.rare.tasks == 0 && ch.state == over {
			ch.sess.endpoint().stragglers.remove(ch)
			ch.unhang()
			ch.rare.late.Stop()
		}
		ch.mu.Unlock()
	}()
	task((*channelContext)(ch))
	normal = true
}
