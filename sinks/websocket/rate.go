package websocket

import "time"

// closeThrottled is the close code for a client that sends too much all the
// time. Like all codes but 1000 it makes phoenix.js connect again.
const closeThrottled = 4429

var errThrottled = &protocolError{closeThrottled, "sent more than allowed for too long"}

// pace makes a client wait that sends more than it may: a leaky bucket that
// holds a second's worth (the generic cell rate algorithm of ITU-T I.371), out
// of which a frame takes its part of FrameRate, a byte its part of ByteRate
// and a join its part of JoinRate. It is called before each frame, and
// answers an error if the client has been held back for Timeouts.Throttle
// without having caught up by half a second meanwhile.
func (s *session) pace() error {
	now := time.Now()
	if earliest := now.Add(-time.Second); s.due.Before(earliest) {
		s.due = earliest
	}
	s.spend(s.mount.cfg.Limits.FrameRate, 1)
	if latest := now.Add(time.Second); s.due.After(latest) {
		s.due = latest // a single message larger than ByteRate
	}
	r := s.rare
	switch wait := s.due.Sub(now); {
	case wait > 0:
		if r == nil || r.throttled.IsZero() {
			s.more().throttled = now
		} else if now.Sub(r.throttled) > s.mount.cfg.Timeouts.Throttle {
			return errThrottled
		}
		time.Sleep(wait)
	case r != nil && wait < -time.Second/2:
		r.throttled = time.Time{}
	}
	return nil
}

// spend takes n of rate, which is so many a second, out of the bucket.
func (s *session) spend(rate, n int) {
	s.due = s.due.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
}
