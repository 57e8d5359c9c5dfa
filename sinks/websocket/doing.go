package websocket

import (
	"fmt"
	"time"
)

// doing is a call of a handler's method.
type doing int64

const (
	doingNothing doing = iota
	doingJoin
	doingJoined
	doingIn
	doingOut
	doingInfo
	doingRenew
	doingTerminate
)

// String returns the name of the method.
func (d doing) String() string {
	return [...]string{"no method", "HandleJoin", "HandleJoined", "HandleIn", "HandleOut", "HandleInfo", "HandleRenew", "HandleTerminate"}[d]
}

// doingBits is the room for a doing below the time of its beginning.
const doingBits = 3

// busy notes that a method of the handler is called now.
func (ch *Channel) busy(d doing) {
	ch.doing.Store(ch.sess.endpoint().uptime()<<doingBits | int64(d))
}

// idle notes that the method has returned.
func (ch *Channel) idle() { ch.doing.Store(0) }

// call is a call of a handler's method that has not returned.
type call struct {
	doing doing
	took  time.Duration // until now
}

// task returns the call that the handler is at.
func (ch *Channel) task() call {
	v := ch.doing.Load()
	d := doing(v & (1<<doingBits - 1))
	if d == doingNothing {
		return call{}
	}
	return call{d, time.Duration(ch.sess.endpoint().uptime() - v>>doingBits)}
}

// String describes the call.
func (c call) String() string {
	if c.doing == doingNothing {
		return c.doing.String()
	}
	return fmt.Sprintf("%v for %v", c.doing, c.took.Round(time.Millisecond))
}
