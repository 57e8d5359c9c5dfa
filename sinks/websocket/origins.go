package websocket

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/penstock-go/penstock/internal/option"
)

// Origins returns a check that lets pages of the listed origins connect. It is what
// the fields Origins of [EndpointConfig] and [MountConfig] use.
//
//	https://example.com     that scheme and its default port
//	https://example.com:*   that scheme, any port
//	//example.com           any scheme and port; example.com is the same
//	//example.com:8443      any scheme, that port
//	//*.example.com         example.com and all names below it
//	https://*               any host over TLS, at the default port
//	app://localhost         a scheme of its own, as of a mobile app
//
// Hosts are compared without case, a dot at their end and the spelling of IPv6
// addresses. An entry that no browser can ever send is refused with an
// [*OptionError] that says why: a path, a name that is not ASCII, "null".
func Origins(entries ...string) (OriginCheck, error) {
	return newOrigins("websocket.Origins", "entries", entries)
}

// newOrigins makes the check for an option.
func newOrigins(owner option.Owner, name string, entries []string) (OriginCheck, error) {
	if len(entries) == 0 {
		return nil, owner.Refuse(name, entries, "at least one origin")
	}
	allowed := make([]originEntry, 0, len(entries))
	for _, text := range entries {
		e, bad := parseOrigin(text)
		if bad != "" {
			return nil, owner.Refuse(name, text, bad)
		}
		allowed = append(allowed, e)
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
	}, nil
}

// originEntry is a parsed entry of a list of origins. An empty scheme means any.
type originEntry struct {
	scheme string
	hostEntry
}

// parseOrigin parses an entry. It returns why it can never match, or "".
func parseOrigin(text string) (e originEntry, bad string) {
	// Space around the entries of a list, and the slash of an address bar, mean nothing.
	entry := strings.TrimSpace(text)
	if !strings.HasSuffix(entry, "//") {
		entry = strings.TrimSuffix(entry, "/")
	}
	scheme, rest, ok := strings.Cut(entry, "//")
	switch {
	case !ok && strings.EqualFold(entry, "null"):
		return e, "origins with a host: sandboxed pages of every site send null, use AnyOrigin for those"
	case !ok:
		scheme, rest = "", entry
	case scheme != "" && !strings.HasSuffix(scheme, ":"):
		return e, "a scheme that ends with ://"
	}
	e.scheme = strings.ToLower(strings.TrimSuffix(scheme, ":"))
	if !schemeAllowed(e.scheme) {
		return e, "a scheme such as https, or // for any"
	}
	switch e.scheme {
	case "file", "data", "blob", "about", "javascript":
		return e, "a scheme whose pages have an origin: those of " + e.scheme + " send null"
	// A page has the scheme of HTTP, also if it connects by that of WebSocket.
	case "ws":
		e.scheme = "http"
	case "wss":
		e.scheme = "https"
	}
	if strings.Contains(rest, "/") {
		return e, "an origin without path"
	}
	if e.hostEntry, bad = parseHostEntry(rest); bad != "" {
		return e, bad
	}
	if _, port, _ := cutPort(rest); port == "" {
		e.port = defaultPort(e.scheme)
	}
	return e, ""
}

// schemeAllowed reports whether a scheme is empty or one of RFC 3986, 3.1, in lower
// case.
func schemeAllowed(scheme string) bool {
	for i, c := range scheme {
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return false
		}
	}
	return true
}

// matches reports whether an origin is what the entry describes.
func (e originEntry) matches(origin *url.URL) bool {
	scheme := pageScheme(origin.Scheme)
	if e.scheme != "" && e.scheme != scheme {
		return false
	}
	// An origin names no port where it is the default of its scheme (RFC 6454, 6.2).
	return e.hostEntry.matches(splitHost(scheme, origin.Host))
}

// pageScheme returns the scheme of a page in lower case. Clients that are not
// browsers send those of WebSocket.
func pageScheme(scheme string) string {
	switch scheme = strings.ToLower(scheme); scheme {
	case "ws":
		return "http"
	case "wss":
		return "https"
	}
	return scheme
}

// parsePublicURL checks a public URL: scheme and host of what clients see.
func parsePublicURL(owner option.Owner, text string) (u *url.URL, err error) {
	const allowed = `"" or a URL such as https://app.example.com, without a path`
	if text == "" {
		return nil, nil
	}
	u, err = url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.Contains(u.Host, "*") {
		return nil, owner.Refuse("PublicURL", text, allowed)
	}
	if _, bad := parseOrigin(text); bad != "" {
		return nil, owner.Refuse("PublicURL", text, bad)
	}
	return u, nil
}
