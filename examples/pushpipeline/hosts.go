package main

import (
	"net"
	"net/http"

	"github.com/penstock-go/penstock/examples/internal/nodes"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// thisMachine are the names by which programs of this machine reach a listener on a
// loopback interface.
var thisMachine = []string{"localhost", "127.0.0.1", "[::1]"}

// hosts returns the names by which requests may ask for a listener at an address:
// the address itself, if it is one, and those of -host.
func (c config) hosts(address string) []string {
	host, _, err := net.SplitHostPort(address)
	names := c.names()
	ip := net.ParseIP(host)
	switch {
	case err != nil || host == "" || ip != nil && ip.IsUnspecified():
	case nodes.Loopback(host):
		names = append(names, thisMachine...)
		if ip != nil && ip.To4() != nil && host != "127.0.0.1" {
			names = append(names, host)
		}
	case ip != nil && ip.To4() == nil:
		names = append(names, "["+host+"]")
	default:
		names = append(names, host)
	}
	return names
}

// checked returns a handler that serves requests for the hosts of an address only: a
// page that reaches this program by a name of its own gets 421. The probes of an
// orchestrator, which asks by address, are served in any case.
func (c config) checked(next http.Handler, probes http.Handler, address string) (http.Handler, error) {
	guarded, err := websocket.CheckHost(next, c.hosts(address)...)
	if err != nil || probes == nil {
		return guarded, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			probes.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	}), nil
}

// sameSite refuses requests that a page of another site has made, which browsers mark.
// Programs send neither header.
func sameSite(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
		if site != "" && site != "same-origin" && site != "none" || origin != "" && origin != "http://"+r.Host {
			answerError(w, http.StatusForbidden, "requests of other pages are refused")
			return
		}
		next.ServeHTTP(w, r)
	})
}
