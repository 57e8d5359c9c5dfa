package websocket

import "sort"

// Snapshot is the state of an endpoint at about one moment.
type Snapshot struct {
	// Connections and Channels count those that exist.
	Connections int `json:"connections"`
	Channels    int `json:"channels"`
	// HungHandlers counts the handlers, tasks and calls of Renew that do not end,
	// HungConnects the calls of Connect: see EndpointLimits.HungHandlers.
	HungHandlers int `json:"hung_handlers"`
	HungConnects int `json:"hung_connects"`
	// QueuedFrames and QueuedBytes count what waits to be written to clients or is
	// being written. A broadcast counts once for each of its receivers.
	QueuedFrames int64 `json:"queued_frames"`
	QueuedBytes  int64 `json:"queued_bytes"`
	// Slow lists the connections whose queue is full and has not drained yet, the
	// longest queue first, at most a hundred. SlowCount counts them all.
	Slow      []SlowConnection `json:"slow"`
	SlowCount int              `json:"slow_count"`
}

// SlowConnection is a connection whose client does not keep up.
type SlowConnection struct {
	// Socket is the name of the socket, ID its id.
	Socket string `json:"socket"`
	ID     string `json:"id"`
	// Frames and Bytes count what is queued for it.
	Frames int `json:"frames"`
	Bytes  int `json:"bytes"`
}

// maxSlow bounds the slow connections that a snapshot lists.
const maxSlow = 100

// Snapshot returns the present state. It looks at all connections, which costs
// about a tenth of a microsecond for each.
func (e *Endpoint) Snapshot() Snapshot {
	snap := Snapshot{
		Channels:     int(e.channels.Load()),
		HungHandlers: e.hung.count(), HungConnects: e.hungConnects.count(),
		QueuedBytes: e.queuedBytes.Load(),
	}
	// One session at a time is locked, so that the counts are of about one moment.
	all := e.registry.all()
	snap.Connections = len(all)
	for _, s := range all {
		s.mu.Lock()
		queued := s.out.total()
		snap.QueuedFrames += int64(queued.frames)
		if s.out.full {
			snap.Slow = append(snap.Slow, SlowConnection{
				Socket: s.mount.kind.name, ID: s.id, Frames: queued.frames, Bytes: queued.bytes,
			})
		}
		s.mu.Unlock()
	}
	sort.Slice(snap.Slow, func(i, j int) bool { return snap.Slow[i].Bytes > snap.Slow[j].Bytes })
	if snap.SlowCount = len(snap.Slow); snap.SlowCount > maxSlow {
		snap.Slow = snap.Slow[:maxSlow]
	}
	return snap
}
