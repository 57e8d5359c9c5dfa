package websocket

import "sort"

// Snapshot is the state of an endpoint at about one moment.
type Snapshot struct {
	// Connections and Channels are those that exist.
	Connections, Channels int
	// QueuedFrames and QueuedBytes wait to be written to clients, or are being
	// written. A broadcast counts once for each of its receivers.
	QueuedFrames, QueuedBytes int64
	// Slow are the connections whose queue is full and has not drained yet,
	// the longest queue first, and SlowCount how many there are: Slow holds a
	// hundred at most.
	Slow      []SlowConnection
	SlowCount int
}

// SlowConnection is a connection whose client does not keep up.
type SlowConnection struct {
	// Socket is the name of the socket, ID its id.
	Socket, ID string
	// Frames and Bytes are queued for it.
	Frames, Bytes int
}

// maxSlow is how many slow connections a snapshot names.
const maxSlow = 100

// Snapshot looks at all connections; its cost grows with their number, about a
// tenth of a microsecond each.
func (e *Endpoint) Snapshot() Snapshot {
	snap := Snapshot{
		Channels:    int(e.channels.Load()),
		QueuedBytes: e.queuedBytes.Load(),
	}
	all := e.registry.all()
	snap.Connections = len(all)
	for _, s := range all {
		s.mu.Lock()
		snap.QueuedFrames += int64(s.out.frames)
		if s.out.full {
			snap.Slow = append(snap.Slow, SlowConnection{
				Socket: s.mount.kind.name, ID: s.id, Frames: s.out.frames, Bytes: s.out.bytes,
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
