package websocket

import "sync"

// disconnects remembers calls of Disconnect while clients are being admitted: one
// that comes between the application's Connect and the subscription of the
// session's id would reach neither. The mutex is a leaf.
//
// A call is needed for as long as a client is admitted whose admission began before
// it. Calls are therefore kept in two ages: when the last client of the older age was
// admitted, its calls are forgotten and the next age begins. What is kept so covers
// about two admissions, also on a node that always admits some client.
type disconnects struct {
	mu   sync.Mutex
	n    uint64 // calls so far
	age  uint64 // the present one; the older one is age-1
	ages [2]disconnectAge
}

// disconnectAge is one age, at its number modulo 2.
type disconnectAge struct {
	admitting int               // clients whose admission began in it
	last      map[string]uint64 // the last call for an id in it
}

// admittance is when the admission of a client began.
type admittance struct {
	n   uint64 // calls before
	age uint64
}

// begin notes that a client is being admitted. end must be called after the session
// has subscribed.
func (d *disconnects) begin() admittance {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ages[d.age%2].admitting++
	return admittance{d.n, d.age}
}

// end notes that a client was admitted or refused.
func (d *disconnects) end(a admittance) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ages[a.age%2].admitting--
	// Twice: when no client is left the calls of both ages are forgotten.
	for range d.ages {
		older := &d.ages[(d.age+1)%2]
		if older.admitting > 0 {
			return
		}
		// The slot of the older age is that of the next one.
		older.last = nil
		d.age++
	}
}

// note remembers a call.
func (d *disconnects) note(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	now := &d.ages[d.age%2]
	if now.admitting == 0 && d.ages[(d.age+1)%2].admitting == 0 {
		return
	}
	if now.last == nil {
		now.last = make(map[string]uint64)
	}
	now.last[id] = d.n
}

// since reports whether the sessions of an id were disconnected after the admission
// of a client began, which has not ended.
func (d *disconnects) since(id string, a admittance) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ages[0].last[id] > a.n || d.ages[1].last[id] > a.n
}
