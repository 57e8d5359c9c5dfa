package redis

import (
	"log/slog"
	"sync/atomic"

	"github.com/penstock-go/penstock/internal/complain"
	"github.com/penstock-go/penstock/metrics"
)

// Snapshot is the state of a remote at one moment. Counters begin with the remote.
type Snapshot struct {
	// Node is the name of this node. Connected is set while other nodes can be reached.
	Node      string `json:"node"`
	Connected bool   `json:"connected"`
	// Nodes are the names of the other nodes.
	Nodes []string `json:"nodes"`
	// Topics are wanted by this node.
	Topics int `json:"topics"`
	// OutboxBytes wait to be sent, InboxBytes to be handled.
	OutboxBytes int `json:"outbox_bytes"`
	InboxBytes  int `json:"inbox_bytes"`
	// Received are messages of other nodes. DroppedOut and DroppedIn did not fit into
	// the outbox or the inbox of the current Run.
	Received   int64 `json:"received"`
	DroppedOut int64 `json:"dropped_out"`
	DroppedIn  int64 `json:"dropped_in"`
	// Unsure messages were sent when the connection failed or the server refused them:
	// whether other nodes have them is not known. Late ones, of another node, came after
	// those that it has sent later, and were dropped.
	Unsure int64 `json:"unsure"`
	Late   int64 `json:"late"`
	// TooLarge messages were refused. NoNode were for a node that is not there.
	TooLarge int64 `json:"too_large"`
	NoNode   int64 `json:"no_node"`
	// Lost counts the occasions on which messages of other nodes may have been lost.
	Lost int64 `json:"lost"`
	// Malformed frames of other nodes were dropped, Versions were of a version that
	// this node does not know, Unknown of an unknown kind.
	Malformed int64 `json:"malformed"`
	Versions  int64 `json:"versions"`
	Unknown   int64 `json:"unknown"`
	// Disconnects and Reconnects count connections that were lost and made again,
	// Errors what the client has reported.
	Disconnects int64 `json:"disconnects"`
	Reconnects  int64 `json:"reconnects"`
	Errors      int64 `json:"errors"`
}

type counters struct {
	received, unsure, late, tooLarge, noNode, lost, malformed, versions, unknown, disconnects, reconnects, errors atomic.Int64
}

// logs bounds the warnings, by kind.
type logs struct {
	outbox, inbox, connection, refused, late, lost, versions, malformed, noNode complain.Limit
}

// meters are the instruments.
type meters struct {
	lost, reconnects, droppedOut, droppedIn, unsure metrics.Counter
	nodes                                           metrics.Gauge
}

func newMeters(r metrics.Recorder) meters {
	return meters{
		lost: r.Counter("redis.remote.lost"), reconnects: r.Counter("redis.remote.reconnects"), nodes: r.Gauge("redis.remote.nodes"),
		unsure:     r.Counter("redis.remote.unsure"),
		droppedOut: r.Counter("redis.remote.dropped", metrics.Tag{Key: "direction", Value: "out"}),
		droppedIn:  r.Counter("redis.remote.dropped", metrics.Tag{Key: "direction", Value: "in"}),
	}
}

// Snapshot returns the state of the remote. It may be called at any time.
func (r *Remote) Snapshot() Snapshot {
	c := &r.counters
	out := Snapshot{
		Node: r.cfg.Node, Connected: r.up.Load() != nil, Topics: r.interest.Len(), Nodes: []string{},
		Received: c.received.Load(), Unsure: c.unsure.Load(), Late: c.late.Load(), TooLarge: c.tooLarge.Load(), NoNode: c.noNode.Load(),
		Lost: c.lost.Load(), Malformed: c.malformed.Load(), Versions: c.versions.Load(), Unknown: c.unknown.Load(),
		Disconnects: c.disconnects.Load(), Reconnects: c.reconnects.Load(), Errors: c.errors.Load(),
	}
	if s := r.last.Load(); s != nil {
		_, out.OutboxBytes = s.outbox.Len()
		out.DroppedOut = s.outbox.Dropped()
		out.InboxBytes, out.DroppedIn = s.inbox.Bytes()
		s.mu.Lock()
		out.Nodes = append(out.Nodes, s.members.Names()...)
		s.mu.Unlock()
	}
	return out
}

// complain logs a warning, at most one of its kind in a second.
func (r *Remote) complain(limit *complain.Limit, message string, attrs ...any) {
	limit.Log(r.cfg.Logger, slog.LevelWarn, "redis: "+message, append([]any{"this", r.cfg.Node}, attrs...)...)
}
