package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/penstock-go/penstock/internal/complain"
)

// logger passes what the server logs to a slog.Logger: warnings and errors, at most one
// of a kind in a second. It implements server.Logger.
type logger struct {
	log         *slog.Logger
	warn, error complain.Limit

	mu   sync.Mutex
	last string // fatal message
}

// Warnf implements server.Logger.
func (l *logger) Warnf(format string, a ...any) {
	l.warn.Log(l.log, slog.LevelWarn, "nats-server: "+fmt.Sprintf(format, a...))
}

// Errorf implements server.Logger.
func (l *logger) Errorf(format string, a ...any) {
	l.error.Log(l.log, slog.LevelError, "nats-server: "+fmt.Sprintf(format, a...))
}

// Fatalf implements server.Logger. The server does not end the process: Start returns
// the message.
func (l *logger) Fatalf(format string, a ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = fmt.Sprintf(format, a...)
}

// Noticef implements server.Logger: notices are left out.
func (l *logger) Noticef(string, ...any) {}

// Debugf implements server.Logger.
func (l *logger) Debugf(string, ...any) {}

// Tracef implements server.Logger.
func (l *logger) Tracef(string, ...any) {}

// fatal returns the last fatal message.
func (l *logger) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == "" {
		return nil
	}
	return errors.New(l.last)
}
