package websocket

import "sync"

// disconnects remembers calls of Disconnect while clients are being admitted: one
// that comes between the application's Connect and the subscription of the
// session's id would reach neither. The mutex is a leaf.
type disconnects struct {
	mu        sync.Mutex
	admitting int               // clients
	n         uint64            // calls so far
	last      map[string]uint64 // the last call for an id, since admitting was 0
}

// begin notes that a client is being admitted and returns the number of calls
// before. end must be called after the session has subscribed.
func (d *disconnects) begin() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.admitting++
	return d.n
}

// end notes that a client was admitted or refused.
func (d *disconnects) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.admitting--; d.admitting == 0 {
		d.last = nil
	}
}

// note remembers a call.
func (d *disconnects) note(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	if d.admitting == 0 {
		return
	}
	if d.last == nil {
		d.last = make(map[string]uint64)
	}
	d.last[id] = d.n
}

// since reports whether the sessions of an id were disconnected after the call
// number n.
func (d *disconnects) since(id string, n uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last[id] > n
}
