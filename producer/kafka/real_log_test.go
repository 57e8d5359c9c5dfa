package kafka

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// clientLog keeps the last lines that clients of a real world log at level debug: they say what
// a test that stands still waits for.
type clientLog struct {
	mu    sync.Mutex
	lines []string // a ring
	next  int
}

const keptLines = 400

func (l *clientLog) Level() kgo.LogLevel { return kgo.LogLevelDebug }

func (l *clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	line := fmt.Sprintln(append([]any{time.Now().Format("15:04:05.000"), level, msg}, keyvals...)...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) < keptLines {
		l.lines = append(l.lines, line)
		return
	}
	l.lines[l.next] = line
	l.next = (l.next + 1) % keptLines
}

func (l *clientLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[l.next:], "") + strings.Join(l.lines[:l.next], "")
}
