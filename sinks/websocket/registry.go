package websocket

import (
	"net/netip"
	"sync"

	"github.com/penstock-go/penstock/metrics"
)

// registry is the list of all connections. The links are in the sessions, so
// that a connection costs two words here.
type registry struct {
	mu    sync.Mutex
	first *session
	n     int
	gauge metrics.Gauge
	shut  bool // no connection is added any more

	// Only with a bound for each address.
	perAddress int
	addresses  map[netip.Addr]int
	from       map[*session]netip.Addr

	// Only with a bound for each socket id.
	perID int
	ids   map[string]int
}

// add answers false if the registry has been shut or is full.
func (r *registry) add(s *session, limit int, addr netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut || (limit > 0 && r.n >= limit) {
		return false
	}
	addr = network(addr)
	if r.perAddress > 0 && r.addresses[addr] >= r.perAddress || r.perID > 0 && s.id != "" && r.ids[s.id] >= r.perID {
		return false
	}
	if r.perAddress > 0 {
		r.addresses[addr]++
		r.from[s] = addr
	}
	if r.perID > 0 && s.id != "" {
		r.ids[s.id]++
	}
	s.next = r.first
	if r.first != nil {
		r.first.prev = s
	}
	r.first = s
	r.n++
	r.gauge.Set(float64(r.n)) // under the lock, so that the last one is true
	return true
}

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
	if r.perAddress > 0 {
		addr := r.from[s]
		delete(r.from, s)
		if r.addresses[addr]--; r.addresses[addr] == 0 {
			delete(r.addresses, addr)
		}
	}
	if r.perID > 0 && s.id != "" {
		if r.ids[s.id]--; r.ids[s.id] == 0 {
			delete(r.ids, s.id)
		}
	}
	r.n--
	r.gauge.Set(float64(r.n))
}

func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// full tells whether an address has all the connections it may have.
func (r *registry) full(addr netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.perAddress > 0 && r.addresses[network(addr)] >= r.perAddress
}

// crowded tells whether a socket id has all the connections it may have.
func (r *registry) crowded(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.perID > 0 && id != "" && r.ids[id] >= r.perID
}

// all is every connection at this moment.
func (r *registry) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*session, 0, r.n)
	for s := r.first; s != nil; s = s.next {
		list = append(list, s)
	}
	return list
}

func (r *registry) close() {
	r.mu.Lock()
	r.shut = true
	r.mu.Unlock()
}
