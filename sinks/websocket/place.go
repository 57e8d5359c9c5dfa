package websocket

import "github.com/penstock-go/penstock/pubsub"

// place is the position of a resumable channel's client in the history of its
// topic. It is guarded by Channel.mu.
//
// The client gets the records in their order, without a gap. The broadcast that
// is next is queued directly. Any other one shows that the history has gone on,
// because two broadcasts overtook each other or because the outbound queue was
// full: then the missing records are fetched from the history.
type place struct {
	epoch   string
	last    uint64 // offset of the last record that was queued or passed over
	known   uint64 // there are records up to this offset
	pulling bool   // a goroutine fetches from the history
	look    bool   // that goroutine must look at least once more
	stalled bool   // the outbound queue is full: fetching goes on when it has drained
	untold  bool   // records were passed over, and the client does not know
	owed    []owed // deliveries that were taken and are not queued yet
	heard   string // epoch of the last broadcast during the join
	lost    bool   // the history does not continue in this epoch
}

// behind reports whether there is something to fetch, and room for it.
func (at *place) behind() bool { return (at.last < at.known || at.look || at.untold) && !at.stalled }

// continues reports whether a broadcast is of the epoch in which the client is,
// or will be once it has joined.
func (at *place) continues(m *pubsub.Message) bool {
	now, _ := m.Position()
	// Still joining: the epoch is only known when the history has been read.
	if at.epoch == "" {
		at.lost = at.lost || (at.heard != "" && at.heard != now.Epoch)
		at.heard = now.Epoch
		return true
	}
	return at.epoch == now.Epoch
}
