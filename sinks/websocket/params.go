package websocket

import (
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Params holds the parameters of a connection: those of the query, where a[b]=c
// makes a map in a map and a[]=c a list, and the variables of the mount path.
// Values are string, Params or []any. Of two values for one name the later one
// counts, as everywhere in this package.
type Params map[string]any

// Get returns the string called name, or "" if there is none or it is not a
// string.
func (p Params) Get(name string) string {
	s, _ := p[name].(string)
	return s
}

// maxNesting bounds a[b][c]…, maxParams the number of parameters in a query.
const (
	maxNesting = 8
	maxParams  = 256
)

// parseParams parses a query in its order. Invalid escapes are skipped. It returns
// false if there are more than maxParams parameters.
func parseParams(query string) (Params, bool) {
	p := Params{}
	for n := 0; query != ""; n++ {
		if n == maxParams {
			return p, false
		}
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || name == "" {
			continue
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			continue
		}
		p.put(name, value)
	}
	return p, true
}

// put sets the value of a name such as a[b][c]. A name that is nested too deep is
// ignored, one with unbalanced brackets is taken literally.
func (p Params) put(name, value string) {
	head, rest, nested := strings.Cut(name, "[")
	if !nested || head == "" || !strings.HasSuffix(rest, "]") {
		p[name] = value
		return
	}
	keys := strings.Split(strings.TrimSuffix(rest, "]"), "][")
	if len(keys) > maxNesting {
		return
	}
	at, key := p, head
	for _, next := range keys {
		if next == "" {
			// A value of another type under the name is replaced.
			list, _ := at[key].([]any)
			at[key] = append(list, value)
			return
		}
		// A string or a list under the name gives way: the later parameter counts.
		inner, ok := at[key].(Params)
		if !ok {
			inner = Params{}
			at[key] = inner
		}
		at, key = inner, next
	}
	at[key] = value
}

// logged is params that are fit for a log: values with the name of a secret are
// replaced, long ones cut.
type logged Params

// LogValue returns the params without secrets.
func (p logged) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, len(p))
	for k, v := range p {
		attrs = append(attrs, slog.Any(clip(k), redact(k, v)))
	}
	return slog.GroupValue(attrs...)
}

// redact returns what may be logged of a value.
func redact(name string, v any) any {
	// Part of a name is enough: access_token is a secret too.
	low := strings.ToLower(name)
	for _, secret := range []string{"token", "password", "secret", "jwt", "auth"} {
		if strings.Contains(low, secret) {
			return "[FILTERED]"
		}
	}
	switch v := v.(type) {
	case string:
		return clip(v)
	case Params:
		return logged(v)
	case []any:
		return len(v)
	}
	return v
}

// clip makes a string from a client fit for a log, whatever the log handler is: it
// is cut to 128 bytes, and what is not printable is escaped.
func clip(s string) string {
	cut := ""
	if len(s) > 128 {
		s, cut = strings.ToValidUTF8(s[:128], ""), "…"
	}
	// A RuneError is a byte that is not UTF-8, or the replacement character itself.
	for _, r := range s {
		if !strconv.IsPrint(r) || r == utf8.RuneError {
			quoted := strconv.QuoteToASCII(s)
			return quoted[1:len(quoted)-1] + cut
		}
	}
	return s + cut
}
