package delivery

import (
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/complain"
)

// outages counts and logs the times in which other nodes cannot be asked. It belongs
// to the stage's goroutine.
type outages struct {
	since time.Duration // when the current one began
	stop  func()        // of the watch of the hub's reach; nil without other nodes
	logs  [2]complain.Limit
}

// follow brings the book up to date with the hub: whether other nodes can be asked. It
// is called before each decision that depends on it, since the hub knows it first.
func (c *Consumer[T]) follow() {
	if !c.cluster {
		return
	}
	reach := c.endpoint.PubSub().Reach()
	if reach != c.book.outage {
		return
	}
	now := c.now()
	if reach {
		c.book.reached(now)
		c.meters.outOfReach.Store(false)
		c.outages.logs[1].Log(c.cfg.Logger, slog.LevelInfo, "other nodes can be asked again",
			"after", (now - c.outages.since).Round(time.Millisecond), "waiting", c.book.counts[forClient]+c.book.counts[forAnswer])
		return
	}
	c.outages.since = now
	c.book.cutOff(now)
	c.meters.outOfReach.Store(true)
	c.meters.outages.Add(1)
	c.meters.outageCounter.Add(1)
	c.outages.logs[0].Log(c.cfg.Logger, slog.LevelWarn, "other nodes cannot be asked: events without a client here wait, and Grace stands still",
		"waiting", c.book.counts[forClient]+c.book.counts[forAnswer])
}
