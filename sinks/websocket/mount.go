package websocket

import (
	"math"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/pattern"
	"github.com/penstock-go/penstock/metrics"
)

// mount is a socket at a path. It does not change after Mount has returned.
type mount struct {
	endpoint *Endpoint
	cfg      MountConfig
	kind     socketKind
	segments []string // of path and suffix
	longPoll []string // the same for long polling; nil if off
	routes   []*route
	resumes  bool // any of them
	cookies  bool // whether Connect sees them
	bounds   bounds
	choices  choices
	deflate  *deflater // nil: messages are not compressed
	offered  []string  // subprotocols
	pings    pings
	relays   *relays // nil: requests for sessions of other nodes find none

	connectOK, connectError, unmatched metrics.Counter
}

// route is a channel definition with its counters of joins.
type route struct {
	routeDef
	ok, fail metrics.Counter
}

// Mount makes a socket reachable at path, which begins with "/" and may hold
// variables such as "/:room" that join the params, each of one segment of a
// request's path without its escapes. The path is given without escapes. Of two
// mounts that match a request, the first one gets it; a path of which an earlier
// mount gets every request is refused. Mount must be called before the first
// request. Errors are [*OptionError].
func (e *Endpoint) Mount(path string, s Mountable, cfg MountConfig) error {
	if err := option.First(
		mountOwner.Needs("socket", s, "a Socket"),
		pathAllowed("path", path),
		cfg.validate(),
	); err != nil {
		return err
	}
	m := e.newMount(path, s.kind(), cfg.withDefaults())
	if err := option.First(
		variablesAllowed(path, m.segments),
		variablesAllowed(path, m.longPoll),
		mountOwner.Check(!covers(m.segments, m.longPoll), "LongPoll.Suffix", cfg.LongPoll, "a suffix other than that of WebSocket connections"),
	); err != nil {
		return err
	}
	for _, def := range m.kind.routes {
		if err := m.addRoute(def); err != nil {
			return err
		}
	}
	// Checked and added under one lock, so that two calls cannot take one path.
	e.mountsMu.Lock()
	defer e.mountsMu.Unlock()
	// Of two that match one request, the one mounted first gets it.
	for _, other := range e.mounts {
		if m.collides(other) {
			return mountOwner.Refuse("path", path, "a path whose requests no socket gets that was mounted before")
		}
	}
	if err := m.beginRelays(); err != nil {
		return err
	}
	e.mounts = append(e.mounts, m)
	return nil
}

// pathAllowed refuses a path, or a suffix, that no request can have.
func pathAllowed(option, path string) error {
	refuse := func(allowed string) error { return mountOwner.Refuse(option, path, allowed) }
	switch {
	case !strings.HasPrefix(path, "/") || path != "/" && strings.HasSuffix(path, "/"):
		return refuse(`a path beginning with "/" and not ending with it`)
	case strings.ContainsAny(path, "%?#"):
		return refuse("a path as it is without escapes, query and fragment")
	case strings.Contains(path, "//"):
		return refuse("a path without empty segments")
	}
	return nil
}

// variablesAllowed refuses variables of a path that have no name, or one name.
func variablesAllowed(path string, segments []string) error {
	seen := make(map[string]bool)
	for _, s := range segments {
		if name, variable := strings.CutPrefix(s, ":"); variable {
			if name == "" || seen[name] {
				return mountOwner.Refuse("path", path, "variables with a name each, no two the same")
			}
			seen[name] = true
		}
	}
	return nil
}

// newMount makes a mount without routes.
func (e *Endpoint) newMount(path string, kind socketKind, cfg MountConfig) *mount {
	if cfg.Origin == nil {
		cfg.Origin = e.cfg.Origin
	}
	// Only "/" ends with a slash here: pathAllowed has refused the others.
	path = strings.TrimSuffix(path, "/")
	m := &mount{endpoint: e, cfg: cfg, kind: kind, segments: segmentsOf(path + cfg.Suffix)}
	if cfg.LongPoll != nil {
		m.longPoll = segmentsOf(path + cfg.LongPoll.Suffix)
	}
	m.bounds = bounds{
		frames: min(cfg.Queue.Events, math.MaxInt/4), // leaves room for arithmetic
		bytes:  min(cfg.Queue.Bytes, math.MaxInt/4),
		budget: int(min(e.cfg.Limits.QueuedBytes, math.MaxInt/4)),
		notify: kind.full != nil || kind.drained != nil,
	}
	m.offer()
	if cfg.Compression != nil {
		m.deflate = newDeflater(*cfg.Compression, e.cfg.Metrics.Counter("websocket.compressors_busy"))
	}
	m.pings.every = cfg.Timeouts.Ping
	// A browser adds cookies by itself, also for a page of another origin.
	for _, name := range cfg.Headers {
		m.cookies = m.cookies || strings.EqualFold(name, "Cookie")
	}
	m.connectOK = m.counter("socket_connect", "success", "socket", kind.name)
	m.connectError = m.counter("socket_connect", "error", "socket", kind.name)
	m.unmatched = m.counter("channel_join", "fail", "channel", "unmatched")
	return m
}

// counter returns a counter with a status and one more tag.
func (m *mount) counter(name, status, key, value string) metrics.Counter {
	return m.endpoint.cfg.Metrics.Counter(name, metrics.Tag{Key: "status", Value: status}, metrics.Tag{Key: key, Value: value})
}

// addRoute checks the definition of a channel and adds it to the routes.
func (m *mount) addRoute(def routeDef) error {
	if err := option.First(
		mountOwner.Check(pattern.Valid(def.pattern), "channel pattern", def.pattern, pattern.Allowed),
		mountOwner.Check(def.new != nil, "channel "+def.pattern, def.new, "a function that makes its handlers"),
		mountOwner.Check(def.cfg.Overflow <= DropOldest, "channel Overflow", def.cfg.Overflow, overflowNames),
		mountOwner.Check(!def.cfg.Resume || len(def.cfg.Intercept) == 0, "channel Intercept", def.cfg.Intercept, "none for a channel with Resume"),
		mountOwner.Check(!def.cfg.Resume || m.endpoint.hub.History() != nil, "channel Resume", true, "true only if the endpoint's PubSub has a History"),
		option.AtLeast(mountOwner, "channel MaxTasks", def.cfg.MaxTasks, 0),
	); err != nil {
		return err
	}
	option.Default(&def.cfg.MaxTasks, defaultTasks)
	// A channel without a policy of its own has that of the mount.
	option.Default(&def.cfg.Overflow, m.cfg.Queue.Overflow)
	m.resumes = m.resumes || def.cfg.Resume
	m.routes = append(m.routes, &route{
		routeDef: def,
		ok:       m.counter("channel_join", "success", "channel", def.pattern),
		fail:     m.counter("channel_join", "fail", "channel", def.pattern),
	})
	return nil
}

// route returns the first route whose pattern matches a topic, or nil.
func (m *mount) route(topic string) *route {
	// In the order in which the channels were defined.
	for _, r := range m.routes {
		if pattern.Matches(r.pattern, topic) {
			return r
		}
	}
	return nil
}

// segmentsOf splits a path that begins with "/".
func segmentsOf(path string) []string { return strings.Split(path, "/")[1:] }

// collides reports whether a mount can never be reached at one of its paths, since
// an earlier one gets all requests to it.
func (m *mount) collides(earlier *mount) bool {
	for _, a := range [][]string{m.segments, m.longPoll} {
		for _, b := range [][]string{earlier.segments, earlier.longPoll} {
			if covers(b, a) {
				return true
			}
		}
	}
	return false
}

// covers reports whether a path matches all that another one matches.
func covers(wide, narrow []string) bool {
	if len(wide) != len(narrow) || len(wide) == 0 {
		return false
	}
	for i, segment := range wide {
		if !strings.HasPrefix(segment, ":") && segment != narrow[i] {
			return false
		}
	}
	return true
}

// match compares the path of a request, with its escapes, with that of a mount and
// returns its variables, without escapes. An escaped slash is no separator. A slash
// at the end of the path means nothing.
func match(segments []string, path string) (vars map[string]string, ok bool) {
	path = strings.TrimSuffix(path, "/")
	for i, want := range segments {
		var have string
		if path == "" || path[0] != '/' {
			return nil, false
		}
		have, path = path[1:], ""
		if cut := strings.IndexByte(have, '/'); cut >= 0 {
			have, path = have[:cut], have[cut:]
		}
		if strings.IndexByte(have, '%') >= 0 {
			var err error
			if have, err = url.PathUnescape(have); err != nil || !utf8.ValidString(have) {
				return nil, false
			}
		}
		switch name, variable := strings.CutPrefix(want, ":"); {
		// A variable matches one segment, which must not be empty.
		case variable && have != "":
			if vars == nil {
				vars = make(map[string]string)
			}
			vars[name] = have
		case have != want:
			return nil, false
		}
		if i == len(segments)-1 && path != "" {
			return nil, false
		}
	}
	return vars, len(segments) > 0
}
