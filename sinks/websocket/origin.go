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
// request, and over TLS only pages that came over TLS. Behind a proxy that changes
// the Host header, set EndpointConfig.PublicURL.
func SameOrigin(r *http.Request, origin *url.URL) bool {
	if origin.Host == "" || origin.User != nil || (r.TLS != nil && !secure(origin.Scheme)) {
		return false
	}
	return strings.EqualFold(hostPort(origin.Scheme, origin.Host), hostPort(origin.Scheme, r.Host))
}

// ExactOrigin lets pages connect whose scheme, host and port are those of the
// request. The scheme of the request follows from its TLS state: with a proxy
// that ends TLS use PublicURL or Origins of the config instead.
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
			// The check sees an origin without a host, which only AnyOrigin accepts.
			u = &url.URL{Opaque: values[0]}
		}
		return check(r, u)
	}
	return false
}
