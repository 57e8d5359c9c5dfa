package websocket

import (
	"errors"
	"os"

	"github.com/penstock-go/penstock/metrics"
)

// The reasons of websocket.slow_closed: why a connection was closed because its
// client is slow.
const (
	slowQueue   = "queue"   // the policy of its queue is CloseSlow
	slowBudget  = "budget"  // its queue was the longest when all together were too long
	slowHistory = "history" // what it has not taken is not kept any more
	slowWrite   = "write"   // it took nothing for Timeouts.Write
)

// slowCounters returns the counter of each reason.
func slowCounters(r metrics.Recorder) map[string]metrics.Counter {
	counters := make(map[string]metrics.Counter)
	for _, reason := range []string{slowQueue, slowBudget, slowHistory, slowWrite} {
		counters[reason] = r.Counter("websocket.slow_closed", metrics.Tag{Key: "reason", Value: reason})
	}
	return counters
}

// slow counts and logs that the connection closes because its client is slow. The
// caller does not hold the session's mutex.
func (s *session) slow(reason string) {
	e := s.endpoint()
	e.slow[reason].Add(1)
	e.log.Warn("slow client closed", "socket", s.mount.kind.name, "reason", reason)
}

// slowToWrite is slow if a write has failed because the client took nothing.
func (s *session) slowToWrite(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.slow(slowWrite)
	}
}
