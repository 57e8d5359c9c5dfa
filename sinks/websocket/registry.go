package websocket

import (
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"github.com/penstock-go/penstock/metrics"
)

// registry is the list of all connections. The links are in the sessions, so
// that a connection costs two words here.
type registry struct {
	mu    sync.Mutex
	first *session
	n     int
	// websocket.connections.
	gauge metrics.Gauge
	used  func(bool) // called with the mutex held, with the first connection and after the last
	shut  bool       // no connection is added any more

	limits EndpointLimits

	// Made only if there is a bound for each address.
	addresses map[netip.Addr]int
	from      map[*session]netip.Addr

	// One of them is made if there is a bound for each socket id.
	ids  map[string]int        // counts, to refuse new ones
	byID map[string][]*session // the oldest first, to close it
}

// begin sets the limits and what is called, before the first connection.
func (r *registry) begin(limits EndpointLimits, gauge metrics.Gauge, used func(bool)) {
	r.limits, r.gauge, r.used = limits, gauge, used
	if limits.PerAddress < Unlimited {
		r.addresses = make(map[netip.Addr]int)
		r.from = make(map[*session]netip.Addr)
	}
	switch {
	case limits.PerID == Unlimited:
	case limits.AtPerID == CloseOldest:
		r.byID = make(map[string][]*session)
	default:
		r.ids = make(map[string]int)
	}
}

// add adds a session from an address. If the registry has been shut or a limit has
// been reached it adds nothing and returns the refusal. The caller must close the
// session that the new one replaces, if any, which does not count for its id any
// more.
func (r *registry) add(s *session, addr netip.Addr) (replaced *session, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Of IPv6 the /64, which is what one client usually has.
	addr = network(addr)
	switch {
	case r.shut:
		return nil, statusRefusal(refusedShutdown, http.StatusServiceUnavailable)
	case r.n >= r.limits.Connections:
		return nil, statusRefusal(refusedConnections, http.StatusServiceUnavailable)
	// A nil map, of a bound that is off, has 0 for each key.
	case r.addresses[addr] >= r.limits.PerAddress:
		return nil, statusRefusal(refusedAddress, http.StatusServiceUnavailable)
	case r.ids[s.id] >= r.limits.PerID:
		return nil, statusRefusal(refusedID, http.StatusTooManyRequests)
	}
	if r.byID != nil && s.id != "" {
		list := r.byID[s.id]
		if len(list) >= r.limits.PerID {
			// Out of the list at once, so that two new connections replace two old ones,
			// though these take a while to close.
			replaced = list[0]
			list = slices.Delete(list, 0, 1)
		}
		r.byID[s.id] = append(list, s)
	}
	if r.addresses != nil {
		r.addresses[addr]++
		r.from[s] = addr
	}
	if r.ids != nil && s.id != "" {
		r.ids[s.id]++
	}
	// The newest comes first; the order has no meaning.
	s.next = r.first
	if r.first != nil {
		r.first.prev = s
	}
	r.first = s
	if r.n++; r.n == 1 {
		r.used(true)
	}
	r.gauge.Set(float64(r.n)) // under the lock, so that the last value is the true one
	return replaced, nil
}

// remove takes a session out of the list and the counts. The session must be there.
func (r *registry) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case s.prev != nil:
		s.prev.next = s.next
	case r.first == s:
		r.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
	if r.addresses != nil {
		addr := r.from[s]
		delete(r.from, s)
		if r.addresses[addr]--; r.addresses[addr] == 0 {
			delete(r.addresses, addr)
		}
	}
	if r.ids != nil && s.id != "" {
		if r.ids[s.id]--; r.ids[s.id] == 0 {
			delete(r.ids, s.id)
		}
	}
	if r.byID != nil && s.id != "" {
		// A session that was replaced is not there any more.
		list := slices.DeleteFunc(r.byID[s.id], func(other *session) bool { return other == s })
		if r.byID[s.id] = list; len(list) == 0 {
			delete(r.byID, s.id)
		}
	}
	if r.n--; r.n == 0 {
		r.used(false)
	}
	r.gauge.Set(float64(r.n))
}

// full returns the reason for which no connection of an address is let in, or "".
func (r *registry) full(addr netip.Addr) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.n >= r.limits.Connections:
		return refusedConnections
	case r.addresses[network(addr)] >= r.limits.PerAddress:
		return refusedAddress
	}
	return ""
}

// crowded reports whether a socket id has as many connections as allowed.
func (r *registry) crowded(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[id] >= r.limits.PerID
}

// all returns every connection at this moment.
func (r *registry) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*session, 0, r.n)
	for s := r.first; s != nil; s = s.next {
		list = append(list, s)
	}
	return list
}

// close refuses further connections.
func (r *registry) close() {
	r.mu.Lock()
	r.shut = true
	r.mu.Unlock()
}
