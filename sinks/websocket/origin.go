package websocket

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// OriginCheck decides whether a page of the given origin may open a
// connection. It is asked only for requests with an Origin header, so that
// clients that are no browsers pass: with a token, if MountConfig.Headers lets
// Connect see cookies. An origin without a host, such as "null",
// comes with an empty Host. It is called by many goroutines at once.
type OriginCheck func(r *http.Request, origin *url.URL) bool

// AnyOrigin lets every page connect. Use it only if Connect demands a token
// that a foreign page cannot have; a cookie is none.
func AnyOrigin(*http.Request, *url.URL) bool { return true }

// SameOrigin, the default, lets pages connect that came from the host and port
// the request goes to, and over TLS only from pages that came over TLS.
func SameOrigin(r *http.Request, origin *url.URL) bool {
	if origin.Host == "" || origin.User != nil || (r.TLS != nil && !secure(origin.Scheme)) {
		return false
	}
	return strings.EqualFold(hostPort(origin.Scheme, origin.Host), hostPort(origin.Scheme, r.Host))
}

// ExactOrigin lets pages connect whose scheme, host and port are the request's
// own. The request's scheme is known from its TLS state: behind a proxy that
// ends TLS use [Origins] instead.
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

type originEntry struct{ scheme, host, port string }

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

func (e originEntry) matches(origin *url.URL) bool {
	scheme := strings.ToLower(origin.Scheme)
	if e.scheme != "" && e.scheme != scheme {
		return false
	}
	port := origin.Port()
	if port == "" {
		port = defaultPort(scheme)
	}
	if e.port != "" && e.port != port {
		return false
	}
	host := strings.ToLower(origin.Hostname())
	if base, wild := strings.CutPrefix(e.host, "*."); wild {
		return host == base || strings.HasSuffix(host, "."+base)
	}
	return e.host != "" && host == e.host
}

func secure(scheme string) bool {
	return strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "wss")
}

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
	u := url.URL{Host: host}
	port := u.Port()
	if port == "" {
		port = defaultPort(strings.ToLower(scheme))
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// fromSamePage tells whether a browser has said where a request comes from, so
// that the cookies which came with it can be believed. A browser names the origin with every
// WebSocket; of a page's own GETs, as long polling makes, it tells in
// Sec-Fetch-Site that they stay at home.
func fromSamePage(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") == "same-origin"
}

// originAllowed is the answer for a request: no header passes, more than one
// does not.
func originAllowed(r *http.Request, check OriginCheck) bool {
	values := r.Header.Values("Origin")
	switch len(values) {
	case 0:
		return true
	case 1:
		u, err := url.Parse(values[0])
		if err != nil {
			u = &url.URL{Opaque: values[0]}
		}
		return check(r, u)
	}
	return false
}
