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
	_, token := cutLast(r.URL.RawQuery, tokenParam)
	return token
}

// connectQuery returns the query of a request that begins a session, without the
// token of an earlier session: Connect then sees the application's own token, as
// in the client's first request.
func connectQuery(query string) string {
	if rest, token := cutLast(query, tokenParam); strings.HasPrefix(token, pollTokenPrefix) {
		return rest
	}
	return query
}

// cutLast takes the last parameter with a name out of a query. It returns the
// query without it, and its value.
func cutLast(query, name string) (rest, value string) {
	for end := len(query); end > 0; {
		start := strings.LastIndexByte(query[:end], '&') + 1
		key, raw, _ := strings.Cut(query[start:end], "=")
		key, err := url.QueryUnescape(key)
		if err == nil && key == name {
			if value, err = url.QueryUnescape(raw); err == nil {
				return query[:start] + strings.TrimPrefix(query[end:], "&"), value
			}
		}
		end = max(start-1, 0)
	}
	return query, ""
}
