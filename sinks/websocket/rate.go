package websocket

import "time"

// closeThrottled is the close code for a client that keeps sending too much. Like
// all codes but 1000 it makes phoenix.js connect again.
const closeThrottled = 4429

var errThrottled = &protocolError{closeThrottled, "sent more than allowed for too long"}

// pace delays reading from a client that sends more than it may. It is a leaky
// bucket that holds a second's worth (the generic cell rate algorithm of ITU-T
// I.371): a frame takes its share of FrameRate from it, a byte its share of
// ByteRate and a join its share of JoinRate. pace is called before each frame. It
// returns an error if the client has been held back for Timeouts.Throttle without
// having half a second's worth in the bucket meanwhile.
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

// spend takes n out of the bucket, of which rate are allowed in a second.
func (s *session) spend(rate, n int) {
	s.due = s.due.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
}
