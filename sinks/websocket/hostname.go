package websocket

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// hostEntry is a host of a list, as its writer means it.
type hostEntry struct {
	// name is in the form of [hostName]. It is "" for any host, and begins with "."
	// for a domain and all below it.
	name string
	port string // "" for any port
	any  bool   // any host
}

// matches reports whether a host and a port are what the entry describes. name is
// in the form of [hostName].
func (e hostEntry) matches(name, port string) bool {
	switch {
	case name == "" || e.port != "" && e.port != port:
		return false
	case e.any:
		return true
	case e.name[0] == '.':
		return name == e.name[1:] || strings.HasSuffix(name, e.name)
	}
	return name == e.name
}

// parseHostEntry parses "host", "host:port", "host:*" and "*.host". It returns
// why an entry can never match, or "".
func parseHostEntry(s string) (e hostEntry, bad string) {
	host, port, found := cutPort(s)
	// "*" and no port at all mean any port here; a caller can tell them apart.
	if found && port != "*" {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return e, "a port from 1 to 65535, or *"
		}
		e.port = strconv.Itoa(n)
	}
	if host == "*" {
		e.any = true
		return e, ""
	}
	base, wild := strings.CutPrefix(host, "*.")
	if bad := badHost(base); bad != "" {
		return e, bad
	}
	e.name = hostName(base)
	if wild {
		if isIP(base) {
			return e, "an address without *, which has no names below it"
		}
		e.name = "." + e.name
	}
	return e, ""
}

// badHost returns why no browser ever names a host so, or "".
func badHost(host string) string {
	if host == "" {
		return "an entry with a host"
	}
	if strings.Contains(host, ":") || strings.ContainsAny(host, "[]") {
		if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil || a.Zone() != "" {
			return "an IPv6 address in brackets, without a zone"
		}
		return ""
	}
	for _, c := range host {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		case c == '*':
			return `"*" alone, or "*." before a name`
		case c >= 0x80:
			return "the name in its ASCII form (xn--…), as browsers send it"
		default:
			return "a host of letters, digits, hyphens and dots, without path, user or spaces"
		}
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, l := range labels {
		if l == "" {
			return `a name without empty parts; "*.example.com" for all names below example.com`
		}
	}
	// What ends with a number is an IPv4 address to a browser, which writes it so.
	if _, err := strconv.ParseUint(labels[len(labels)-1], 0, 64); err == nil && !isIP(host) {
		return "an IPv4 address as four decimal numbers"
	}
	return ""
}

// hostName returns the one form in which hosts are compared: lower case, without
// the dot of the root, addresses as [netip.Addr] writes them.
func hostName(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return a.String()
	}
	return host
}

// isIP reports whether a host is an address.
func isIP(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// cutPort splits "host:port", where an IPv6 host with a port has brackets.
func cutPort(s string) (host, port string, found bool) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 || at < strings.LastIndexByte(s, ']') {
		return s, "", false
	}
	// An IPv6 address without brackets has no port.
	if !strings.HasPrefix(s, "[") && strings.Count(s, ":") > 1 {
		return s, "", false
	}
	return s[:at], s[at+1:], true
}

// splitHost returns the host of a request or an origin in the form of [hostName],
// and its port, or that of the scheme.
func splitHost(scheme, hostPort string) (name, port string) {
	// Only used for its methods, which know the brackets of an IPv6 address.
	u := url.URL{Host: hostPort}
	if port = u.Port(); port == "" {
		port = defaultPort(scheme)
	}
	return hostName(u.Hostname()), port
}
