package websocket

import (
	"errors"
	"time"

	"github.com/penstock-go/penstock/internal/gcra"
)

// closeThrottled is the close code for a client that keeps sending too much. Like
// all codes but 1000 it makes phoenix.js connect again.
const closeThrottled = 4429

var errThrottled = &protocolError{closeThrottled, "sent more than allowed for too long"}

// errEnding: the session has begun to end, so that its client need not be delayed.
var errEnding = errors.New("websocket: the session ends")

// rateHold is what the buckets of clients and addresses hold: the work of a
// second.
const rateHold = int64(time.Second)

// uptime is the clock of the buckets, in nanoseconds.
func (e *Endpoint) uptime() int64 { return int64(time.Since(e.epoch)) }

// pace delays reading from a client that sends more than it may. A frame takes its
// share of FrameRate from the client's bucket, a byte its share of ByteRate and a
// join that is too many its share of JoinRate. pace is called before each frame. It
// returns an error if the client has been held back for Timeouts.Throttle without having half
// a second's worth in the bucket meanwhile. It returns how long it has waited, and
// errEnding instead of waiting longer once the session begins to end.
func (s *session) pace() (waited time.Duration, err error) {
	now := time.Now()
	up := s.endpoint().uptime()
	s.bucket.Take(up, gcra.Cost(1, float64(s.mount.cfg.Limits.FrameRate)))
	s.bucket = min(s.bucket, gcra.Bucket(up+2*rateHold)) // for a single message larger than ByteRate
	r := s.rare
	switch wait := time.Duration(s.bucket.Ready(rateHold) - up); {
	case wait > 0:
		if s.isDeaf() {
			return 0, errEnding
		}
		// The beginning is noted once, and stays until the client has been slow enough.
		if r == nil || r.throttled.IsZero() {
			s.more().throttled = now
		} else if now.Sub(r.throttled) > s.mount.cfg.Timeouts.Throttle {
			return 0, errThrottled
		}
		// Only the goroutine that reads sleeps: TCP then slows the client down.
		if !s.sleep(wait) {
			return 0, errEnding
		}
		return wait, nil
	case r != nil && wait < -time.Second/2:
		r.throttled = time.Time{}
	}
	return 0, nil
}

// sleep waits for d in the goroutine that reads. It returns false as soon as the
// session begins to end.
func (s *session) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ending():
		return false
	}
}

// mayJoin reports whether one more join is within JoinRate. One that is not gets an
// error reply; a client that goes on all the same is slowed down, which bounds the
// replies.
func (s *session) mayJoin() bool {
	up := s.endpoint().uptime()
	rate := s.mount.cfg.Limits.JoinRate
	after := s.joins
	after.Take(up, gcra.Cost(1, float64(rate)))
	if after.Ready(rateHold) > up {
		s.spend(rate, 1)
		return false
	}
	s.joins = after
	return true
}

// spend takes n out of the bucket, of which rate are allowed in a second. pace has
// brought the bucket up to date.
func (s *session) spend(rate, n int) { s.bucket.Take(0, gcra.Cost(n, float64(rate))) }
