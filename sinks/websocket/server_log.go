package websocket

import (
	"log/slog"
	"strings"
	"sync"
	"time"
)

// serverLog takes what net/http reports, such as failed TLS handshakes and panics
// of handlers: at most one line a second, since clients can cause many.
type serverLog struct {
	log *slog.Logger

	mu      sync.Mutex
	next    time.Time // when a line may be logged again
	leftOut int       // lines since the last one
}

// Write implements io.Writer, for one line of a log.Logger.
func (l *serverLog) Write(line []byte) (int, error) {
	now := time.Now()
	l.mu.Lock()
	pass := !now.Before(l.next)
	leftOut := l.leftOut
	if pass {
		l.next, l.leftOut = now.Add(time.Second), 0
	} else {
		l.leftOut++
	}
	// The lock is not held while the log is written.
	l.mu.Unlock()
	if pass {
		l.log.Warn("http server", "error", strings.TrimSpace(string(line)), "left_out", leftOut)
	}
	return len(line), nil
}
