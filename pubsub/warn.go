package pubsub

import (
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/complain"
)

// complain logs a warning, at most one of its kind in a second. It is for events
// that a remote can cause as often as it likes.
func (h *Hub) complain(limit *complain.Limit, message string, attrs ...any) {
	limit.Log(h.log, slog.LevelWarn, "pubsub: "+message, attrs...)
}

// runGrace is how long after New the hub of several nodes may be used before Run
// without a warning.
const runGrace = 5 * time.Second

// expectRun warns of a hub whose Run was forgotten: what other nodes send does not
// arrive. It is called for messages to other nodes and for subscriptions.
func (h *Hub) expectRun() {
	if h.remote == nil || h.ran.Load() || time.Since(h.made) < runGrace {
		return
	}
	h.complain(&h.logs.idle, "hub has a remote and does not run: messages of other nodes do not arrive", "node", h.node)
}
