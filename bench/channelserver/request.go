package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// The largest numbers that a request may ask for.
const (
	maxBytes   = 8 << 20 // of the filler of a payload
	maxEvents  = 100_000_000
	maxUsers   = 1_000_000
	maxWorkers = 1024
)

// ownPages refuses requests that a browser makes for a page of another site: they
// would put load on the server of a developer who only looks at that page.
func (s *server) ownPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Clients that are no browsers send neither header.
		foreign := r.Header.Get("Sec-Fetch-Site") == "cross-site"
		if origins := r.Header.Values("Origin"); len(origins) > 0 {
			u, err := url.Parse(origins[0])
			foreign = len(origins) > 1 || err != nil || !s.local(r, u)
		}
		if foreign {
			http.Error(w, "not for pages of other sites", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// asked is the query of a request, of which the last value for a name counts, as
// everywhere. A body is not read.
type asked struct {
	values url.Values
	bad    string // the first name with a value that is refused
}

// parse returns the query of a request.
func parse(r *http.Request) *asked { return &asked{values: r.URL.Query()} }

// number returns a number from 0 to most.
func (q *asked) number(name string, fallback, most int) int {
	text := q.word(name, "")
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if (err != nil || n < 0 || n > most) && q.bad == "" {
		q.bad = fmt.Sprintf("%s must be a number from 0 to %d", name, most)
	}
	return n
}

// word returns a value, or fallback if it is empty.
func (q *asked) word(name, fallback string) string {
	list := q.values[name]
	if len(list) == 0 || list[len(list)-1] == "" {
		return fallback
	}
	return list[len(list)-1]
}

// filler makes a payload as long as was asked for.
func (q *asked) filler() string {
	n := q.number("bytes", 200, maxBytes)
	if q.bad != "" {
		return ""
	}
	return strings.Repeat("x", n)
}

// refused responds with status 400 if a value was refused.
func (q *asked) refused(w http.ResponseWriter) bool {
	if q.bad == "" {
		return false
	}
	http.Error(w, q.bad, http.StatusBadRequest)
	return true
}
