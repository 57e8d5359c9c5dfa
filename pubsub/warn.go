package pubsub

import (
	"log/slog"

	"github.com/penstock-go/penstock/internal/complain"
)

// complain logs a warning, at most one of its kind in a second. It is for events
// that a remote can cause as often as it likes.
func (h *Hub) complain(limit *complain.Limit, message string, attrs ...any) {
	limit.Log(h.log, slog.LevelWarn, "pubsub: "+message, attrs...)
}
