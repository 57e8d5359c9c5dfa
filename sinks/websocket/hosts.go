package websocket

import (
	"net/http"
	"strings"

	"github.com/penstock-go/penstock/internal/option"
)

// CheckHost returns a handler that passes on requests for the listed hosts, and
// responds to others with status 421. It is against pages that reach a server by a
// name of their own which resolves to its address (DNS rebinding): a browser
// takes them for pages of the same origin. An entry is "example.com",
// "example.com:8443" for that port only, "*.example.com" for that name and all
// below it, or an address such as "127.0.0.1" or "[::1]". The error is an
// [*OptionError] for an entry that can never match.
//
// [EndpointConfig] and [ServerConfig] have the same as an option, with a log and a
// counter.
func CheckHost(next http.Handler, hosts ...string) (http.Handler, error) {
	const owner = option.Owner("websocket.CheckHost")
	if err := owner.Needs("next", next, "an http.Handler"); err != nil {
		return nil, err
	}
	if len(hosts) == 0 {
		return nil, owner.Refuse("hosts", hosts, "at least one host")
	}
	list, err := newHostList(owner, "hosts", hosts)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !list.allows(r) {
			refuseHost(w)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

// refuseHost responds to a request for a host that is not listed.
func refuseHost(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	refuse(w, http.StatusMisdirectedRequest, refusalTexts[refusedHost])
}

// hostList is the hosts by which a server may be reached. An empty list allows all.
type hostList []hostEntry

// newHostList parses the hosts of an option.
func newHostList(owner option.Owner, name string, hosts []string) (hostList, error) {
	var list hostList
	for _, text := range hosts {
		e, bad := parseHostEntry(strings.TrimSpace(text))
		if strings.Contains(text, "/") {
			bad = "a host or host:port without a scheme and a path"
		}
		if strings.Contains(text, "/") {
			bad = "a host or host:port without a scheme and a path"
		}
		if bad == "" && e.any {
			bad = "no list at all, to allow any host"
		}
		if bad != "" {
			return nil, owner.Refuse(name, text, bad)
		}
		list = append(list, e)
	}
	return list, nil
}

// allows reports whether a request is for one of the hosts.
func (l hostList) allows(r *http.Request) bool {
	if len(l) == 0 {
		return true
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	name, port := splitHost(scheme, r.Host)
	for _, e := range l {
		if e.matches(name, port) {
			return true
		}
	}
	return false
}
