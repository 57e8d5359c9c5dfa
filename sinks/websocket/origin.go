package websocket

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// OriginCheck decides whether a page of the given origin may open a connection. It
// is called only for requests with an Origin header; clients that are not
// browsers send none and pass, but need a token if MountConfig.Headers lets
// Connect see cookies. An origin without a host, such as "null", has an empty
// Host. It is called by many goroutines at once.
type OriginCheck func(r *http.Request, origin *url.URL) bool

// AnyOrigin lets every page connect. Use it only if Connect requires a token that
// a foreign page cannot have. A cookie is not such a token.
func AnyOrigin(*http.Request, *url.URL) bool { return true }

// SameOrigin, the default, lets pages connect whose host and port are those of the
// request, and over TLS only pages that came over TLS.
func SameOrigin(r *http.Request, origin *url.URL) bool {
	if origin.Host == "" || origin.User != nil || (r.TLS != nil && !secure(origin.Scheme)) {
		return false
	}
	return strings.EqualFold(hostPort(origin.Scheme, origin.Host), hostPort(origin.Scheme, r.Host))
}

// ExactOrigin lets pages connect whose scheme, host and port are those of the
// request. The scheme of the request follows from its TLS state: with a proxy
// that ends TLS use [Origins] instead.
func ExactOrigin(r *http.Request, origin *url.URL) bool {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if origin.Host == "" || origin.User != nil || secure(origin.Scheme) != (r.TLS != nil) {
		return false
	}
	return strings.EqualFold(hostPort(origin.Scheme, origin.Host), hostPort(scheme, r.Host))
}

// HostOrigin lets pages of one host connect, whatever their scheme and port.
// An empty host lets pages of any host connect.
func HostOrigin(host string) OriginCheck {
	return func(_ *http.Request, origin *url.URL) bool {
		return origin.Host != "" && origin.User == nil && (host == "" || strings.EqualFold(origin.Hostname(), host))
	}
}

// Origins lets pages of the listed origins connect. An entry is "//host" for any
// scheme and port, "//host:81" for that port, "https://host" for that scheme and
// its default port; a host "*.example.com" is example.com and all below it.
func Origins(entries ...string) OriginCheck {
	allowed := make([]originEntry, 0, len(entries))
	for _, e := range entries {
		allowed = append(allowed, parseOrigin(e))
	}
	return func(_ *http.Request, origin *url.URL) bool {
		if origin.Host == "" || origin.User != nil {
			return false
		}
		for _, a := range allowed {
			if a.matches(origin) {
				return true
			}
		}
		return false
	}
}

// originEntry is a parsed entry of Origins. An empty scheme or port means any.
type originEntry struct{ scheme, host, port string }

// parseOrigin parses an entry of Origins.
func parseOrigin(entry string) originEntry {
	scheme, rest, ok := strings.Cut(entry, "//")
	if !ok {
		scheme, rest = "", entry
	}
	scheme = strings.ToLower(strings.TrimSuffix(scheme, ":"))
	u := url.URL{Host: rest}
	e := originEntry{scheme: scheme, host: strings.ToLower(u.Hostname()), port: u.Port()}
	if e.port == "" {
		e.port = defaultPort(scheme)
	}
	return e
}

// matches reports whether an origin is what the entry describes.
func (e originEntry) matches(origin *url.URL) bool {
	scheme := strings.ToLower(origin.Scheme)
	if e.scheme != "" && e.scheme != scheme {
		return false
	}
	// An origin names no port where it is the default of its scheme (RFC 6454, 6.2).
	port := origin.Port()
	if port == "" {
		port = defaultPort(scheme)
	}
	if e.port != "" && e.port != port {
		return false
	}
	// Host names are compared without case; parseOrigin has lowered the entry.
	host := strings.ToLower(origin.Hostname())
	if base, wild := strings.CutPrefix(e.host, "*."); wild {
		return host == base || strings.HasSuffix(host, "."+base)
	}
	// An entry without a host matches nothing.
	return e.host != "" && host == e.host
}

// secure reports whether a scheme is one of TLS.
func secure(scheme string) bool {
	return strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "wss")
}

// defaultPort returns the port of a scheme, or "".
func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}

// hostPort adds the default port of the scheme to a host without port.
func hostPort(scheme, host string) string {
	// Only used for its methods, which know the brackets of an IPv6 address.
	u := url.URL{Host: host}
	port := u.Port()
	if port == "" {
		port = defaultPort(strings.ToLower(scheme))
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// fromSamePage reports whether a browser has named the origin of a request, so
// that the cookies in it can be trusted. A browser sends Origin with every
// WebSocket request, and Sec-Fetch-Site with the GETs of a page to its own
// origin, as long polling makes them.
func fromSamePage(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") == "same-origin"
}

// originAllowed reports whether the origin of a request may connect. A request
// without the header may, one with several may not.
func originAllowed(r *http.Request, check OriginCheck) bool {
	values := r.Header.Values("Origin")
	switch len(values) {
	case 0:
		return true
	case 1:
		u, err := url.Parse(values[0])
		if err != nil {
			// The check sees an origin without a host, which all checks of this package but
			// AnyOrigin refuse.
			u = &url.URL{Opaque: values[0]}
		}
		return check(r, u)
	}
	return false
}
