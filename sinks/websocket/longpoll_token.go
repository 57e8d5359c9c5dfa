package websocket

import (
	"net/http"
	"net/url"
	"strings"
)

// pollTokenPrefix begins each token of a long-poll session, so that it can be told
// from a parameter of the application that is named token too.
const pollTokenPrefix = "longpoll."

// tokenParam is the name under which phoenix.js up to 1.8 appends the token of its
// session to the query, after the application's own parameters. An application's
// token may have the same name: the last one is that of the session.
const tokenParam = "token"

// pollToken returns the token of a session in a request, or "". The header takes
// precedence over the query.
func pollToken(r *http.Request) string {
	if token := r.Header.Get("X-Phoenix-Longpoll-Token"); token != "" {
		return token
	}
	return lastParam(r.URL.RawQuery, tokenParam).value
}

// connectQuery returns the query of a request that begins a session, without the
// token of an earlier session: Connect then sees the application's own token, as
// in the client's first request.
func connectQuery(query string) string {
	last := lastParam(query, tokenParam)
	if last.end == 0 {
		return query
	}
	rest := query[:last.start] + strings.TrimPrefix(query[last.end:], "&")
	if strings.HasPrefix(last.value, pollTokenPrefix) {
		return rest
	}
	// Phoenix.js up to 1.7 has no token after its session has ended, and appends
	// "undefined". What it appends comes after vsn, its own last parameter.
	version := lastParam(query, "vsn")
	if version.end > 0 && version.start < last.start && lastParam(rest, tokenParam).end > 0 {
		return rest
	}
	return query
}

// queryParam is one parameter of a query, of which start and end are its place.
type queryParam struct {
	start, end int
	value      string
}

// lastParam returns the last parameter with a name. Its end is 0 if there is none.
func lastParam(query, name string) queryParam {
	for end := len(query); end > 0; {
		start := strings.LastIndexByte(query[:end], '&') + 1
		key, raw, _ := strings.Cut(query[start:end], "=")
		key, err := url.QueryUnescape(key)
		if err == nil && key == name {
			if value, err := url.QueryUnescape(raw); err == nil {
				return queryParam{start, end, value}
			}
		}
		end = max(start-1, 0)
	}
	return queryParam{}
}
