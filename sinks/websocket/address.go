package websocket

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/penstock-go/penstock/internal/gcra"
	"github.com/penstock-go/penstock/internal/option"
)

// peerAddress returns the address of the TCP peer, which may be a proxy.
func peerAddress(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // all requests without an address count as one address
	}
	return peer.Addr()
}

// Proxies names the proxies before a server, for [ForwardedFor].
type Proxies struct {
	// Networks are those of the proxies. A prefix of all addresses is refused,
	// since clients could then choose theirs.
	Networks []netip.Prefix
	// Unix trusts all peers that connect over a unix socket.
	Unix bool
}

// ForwardedFor returns a ClientAddress for servers behind proxies that append the
// address that a request comes from to X-Forwarded-For. The list is read from its
// end for as long as it names trusted proxies; the entries before that can be
// invented by the client. Ports are ignored. The address of a request that does
// not come from a trusted proxy is that of its peer. The error is an
// [*OptionError].
func ForwardedFor(cfg Proxies) (func(r *http.Request) netip.Addr, error) {
	const owner = option.Owner("websocket.ForwardedFor")
	trusted := make([]netip.Prefix, 0, len(cfg.Networks))
	for _, p := range cfg.Networks {
		if !p.IsValid() || p.Bits() == 0 {
			return nil, owner.Refuse("Networks", p, "networks of proxies, not of everything")
		}
		trusted = append(trusted, p.Masked())
	}
	if len(trusted) == 0 && !cfg.Unix {
		return nil, owner.Refuse("Networks", cfg.Networks, "at least one network, unless Unix is set")
	}
	isProxy := func(addr netip.Addr) bool {
		for _, p := range trusted {
			if p.Contains(addr.Unmap().WithZone("")) {
				return true
			}
		}
		return false
	}
	return func(r *http.Request) netip.Addr {
		// A client that is no trusted proxy cannot choose its address by a header.
		addr := peerAddress(r)
		trust := isProxy(addr) || cfg.Unix && overUnix(r)
		list := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
		for trust && list != "" {
			at := strings.LastIndexByte(list, ',')
			next, ok := parseAddress(strings.TrimSpace(list[at+1:]))
			if !ok {
				break // the proxy's own address is the last one known
			}
			addr, list = next, list[:max(at, 0)]
			trust = isProxy(addr)
		}
		return addr
	}, nil
}

// overUnix reports whether a request has come over a unix socket.
func overUnix(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && at.Network() == "unix"
}

// checkAddress logs, once, what makes limits for each address useless: requests
// without an address, which count as one, and a proxy for whose header the
// endpoint is not configured.
func (e *Endpoint) checkAddress(r *http.Request, addr netip.Addr) {
	if e.cfg.Limits.PerAddress == Unlimited && e.cfg.Limits.ConnectRate == Unlimited {
		return
	}
	switch {
	case !addr.IsValid():
		e.noAddress.Do(func() {
			e.log.Warn("limits for each address: requests without an address count as one; over a unix socket set ClientAddress, see ForwardedFor")
		})
	case e.peers && len(r.Header["X-Forwarded-For"]) > 0:
		e.noAddress.Do(func() {
			e.log.Warn("limits for each address: all clients of a proxy count as one; set ClientAddress, see ForwardedFor", "remote", clip(r.RemoteAddr))
		})
	}
}

// parseAddress parses an address that may have a port or brackets, as some proxies
// write it.
func parseAddress(s string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return addr, true
	}
	at, err := netip.ParseAddrPort(s)
	return at.Addr(), err == nil
}

// network returns what counts as one address: of IPv6 a /64, which is one
// customer.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		p, err := addr.Prefix(64)
		if err == nil {
			return p.Addr()
		}
	}
	return addr
}

// arrivals bounds how often an address may try to connect, with a leaky bucket
// for each that holds a second's worth. Full buckets are forgotten.
type arrivals struct {
	mu    sync.Mutex
	rate  int                        // attempts a second of one address, or Unlimited
	used  map[netip.Addr]gcra.Bucket // without the full ones
	sweep int                        // the number of addresses at which full buckets are dropped
}

// allow reports whether an address may try to connect at the time now, in
// nanoseconds of the endpoint's uptime.
func (a *arrivals) allow(addr netip.Addr, now int64) bool {
	if a.rate == Unlimited {
		return true
	}
	addr = network(addr)
	a.mu.Lock()
	defer a.mu.Unlock()
	bucket := a.used[addr]
	// bucket is a copy: a refused attempt changes nothing, so that a client
	// which goes on trying gets in as soon as the rate allows.
	bucket.Take(now, gcra.Cost(1, float64(a.rate)))
	if bucket.Ready(rateHold) > now {
		return false
	}
	// The sweep costs a constant time for each attempt on average, since the limit
	// doubles with what is left.
	if len(a.used) >= a.sweep {
		for other, b := range a.used {
			if b.Ready(0) <= now { // full
				delete(a.used, other)
			}
		}
		a.sweep = max(1024, 2*len(a.used))
	}
	if a.used == nil {
		a.used = make(map[netip.Addr]gcra.Bucket)
	}
	a.used[addr] = bucket
	return true
}
