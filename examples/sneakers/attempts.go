package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// totalAttempts is how many times the attempts of one address all of them have together.
const totalAttempts = 10

// allowance is a number of attempts, all of which come back in a minute, one after another.
// The zero value has all of them.
type allowance struct {
	full time.Time // when all are back
}

// wait returns how long it takes until one of n attempts is left.
func (a *allowance) wait(n int, now time.Time) time.Duration {
	return max(0, a.full.Sub(now.Add(time.Minute-each(n))))
}

// take takes one of n attempts.
func (a *allowance) take(n int, now time.Time) {
	if a.full.Before(now) {
		a.full = now
	}
	a.full = a.full.Add(each(n))
}

// each returns how long it takes until one of n attempts is back.
func each(n int) time.Duration { return time.Minute / time.Duration(n) }

// attempts limits wrong passwords per address and of all addresses together. An address
// that has had the right one is limited by its own only, so that strangers with many
// addresses do not lock the admin out. It knows no clock and has no lock.
type attempts struct {
	size  int // of an address
	total allowance
	// Addresses whose allowance is not full: at most twice those of all together.
	from  map[netip.Addr]*allowance
	known map[netip.Addr]bool // at most maxKnown, which had the right password
}

// maxKnown bounds the addresses from which an admin has come.
const maxKnown = 1000

func newAttempts(perMinute int) *attempts {
	return &attempts{size: perMinute, from: make(map[netip.Addr]*allowance), known: make(map[netip.Addr]bool)}
}

// allow returns 0 if an address may try, or how long it has to wait.
func (a *attempts) allow(addr netip.Addr, now time.Time) (wait time.Duration) {
	if own := a.from[addr]; own != nil {
		wait = own.wait(a.size, now)
	}
	if !a.known[addr] {
		wait = max(wait, a.total.wait(a.size*totalAttempts, now))
	}
	return wait
}

// wrong notes a wrong password of an address that was allowed to try.
func (a *attempts) wrong(addr netip.Addr, now time.Time) {
	own := a.from[addr]
	if own == nil {
		maps.DeleteFunc(a.from, func(_ netip.Addr, other *allowance) bool { return !other.full.After(now) })
		own = &allowance{}
		a.from[addr] = own
	}
	own.take(a.size, now)
	if !a.known[addr] {
		a.total.take(a.size*totalAttempts, now)
	}
}

// right notes the right password.
func (a *attempts) right(addr netip.Addr) {
	if len(a.known) < maxKnown {
		a.known[addr] = true
	}
}

// gate lets requests with the admin's name and password through. The zero value is of no
// use: see newGate.
type gate struct {
	want    [sha256.Size]byte // of the password
	log     *slog.Logger
	wrong   metrics.Counter
	limited metrics.Counter

	mu       sync.Mutex
	attempts *attempts
	logged   time.Time
	silent   int // since then
}

func newGate(cfg config, m metrics.Recorder, log *slog.Logger) *gate {
	return &gate{want: sha256.Sum256([]byte(cfg.AdminPassword)), log: log, attempts: newAttempts(cfg.AdminAttempts),
		wrong: m.Counter("sneakers.admin_wrong_passwords"), limited: m.Counter("sneakers.admin_limited")}
}

// pass reports whether a request is the admin's. Otherwise it has been served.
func (g *gate) pass(w http.ResponseWriter, r *http.Request) bool {
	user, password, given := r.BasicAuth()
	if !given { // a browser asks without first
		g.refuse(w)
		return false
	}
	// Of equal length, so that the time says nothing of the password's; and the name is
	// compared in any case.
	got, name := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(user))
	admin := sha256.Sum256([]byte(adminName))
	right := subtle.ConstantTimeCompare(got[:], g.want[:])&subtle.ConstantTimeCompare(name[:], admin[:]) == 1

	now, addr := time.Now(), remote(r)
	g.mu.Lock()
	defer g.mu.Unlock()
	wait := g.attempts.allow(addr, now)
	switch {
	case wait > 0:
		// The right password is refused as well: nothing is learnt by trying.
		g.limited.Add(1)
		g.note(addr, now)
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		http.Error(w, "There were too many wrong passwords. Try again later.", http.StatusTooManyRequests)
	case right:
		g.attempts.right(addr)
		return true
	default:
		g.attempts.wrong(addr, now)
		g.wrong.Add(1)
		g.note(addr, now)
		g.refuse(w)
	}
	return false
}

func (g *gate) refuse(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="Sneakers admin", charset="UTF-8"`)
	http.Error(w, "The admin's name and password are required.", http.StatusUnauthorized)
}

// note logs an attempt, at most once a second. The mutex is held.
func (g *gate) note(addr netip.Addr, now time.Time) {
	g.silent++
	if now.Sub(g.logged) < time.Second {
		return
	}
	g.log.Warn("wrong passwords at /admin", "attempts", g.silent, "last", addr)
	g.logged, g.silent = now, 0
}

// remote returns the address that counts as one visitor: of IPv6 the network of a customer.
// Behind a proxy it is that of the proxy.
func remote(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	addr := peer.Addr().Unmap().WithZone("")
	if err != nil || addr.Is4() {
		return addr
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return addr
	}
	return network.Addr()
}
