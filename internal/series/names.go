package series

import (
	"log/slog"
	"strconv"
	"sync"
)

// maxLogged bounds the names that are remembered once logged.
const maxLogged = 100

// maxName bounds what a line has of a name, in bytes.
const maxName = 200

// Names logs one line for each kind and name. The zero value is ready; it is safe for concurrent
// use.
type Names struct {
	mu     sync.Mutex // guards logged
	logged map[string]bool
}

// Log writes a line about a name, the first time. No lock is held meanwhile: the logger is the
// program's, and may use an instrument.
func (n *Names) Log(logger *slog.Logger, kind, name, msg string, args ...any) {
	key := kind + " " + name
	n.mu.Lock()
	skip := n.logged[key] || len(n.logged) >= maxLogged
	if !skip {
		if n.logged == nil {
			n.logged = make(map[string]bool)
		}
		n.logged[key] = true
	}
	n.mu.Unlock()
	if !skip {
		logger.Warn(msg, append([]any{"kind", kind, "name", strconv.QuoteToGraphic(name[:min(len(name), maxName)])}, args...)...)
	}
}
