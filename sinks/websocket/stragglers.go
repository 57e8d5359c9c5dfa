package websocket

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// stragglers are channels that have not come to their end although their
// connection has, or of which tasks still run. The mutex is a leaf.
type stragglers struct {
	mu       sync.Mutex
	channels map[*Channel]struct{}
}

// add remembers a channel. Adding it again changes nothing.
func (st *stragglers) add(ch *Channel) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.channels == nil {
		st.channels = make(map[*Channel]struct{})
	}
	st.channels[ch] = struct{}{}
}

// remove forgets a channel, if it was remembered.
func (st *stragglers) remove(ch *Channel) {
	st.mu.Lock()
	delete(st.channels, ch)
	st.mu.Unlock()
}

// running is what keeps a channel from its end.
type running struct {
	ch    *Channel
	call  call
	tasks int
}

// String names the topic, which the client has chosen, and what runs.
func (r running) String() string {
	what := r.call.String()
	if r.call.doing == doingNothing {
		what = fmt.Sprintf("%d tasks", r.tasks)
	}
	return fmt.Sprintf("%s on %q", what, clip(r.ch.topic))
}

// unfinished returns the channels that have not come to their end, each once.
func (e *Endpoint) unfinished() []*Channel {
	// A channel can be in both lists: conclude and depart run in different goroutines.
	channels := make(map[*Channel]bool)
	for _, s := range e.registry.all() {
		s.mu.Lock()
		for ch := range s.channels.all() {
			channels[ch] = true
		}
		s.mu.Unlock()
	}
	e.stragglers.mu.Lock()
	for ch := range e.stragglers.channels {
		channels[ch] = true
	}
	e.stragglers.mu.Unlock()
	return slices.Collect(maps.Keys(channels))
}

// atWork returns the channels of which a method or a task runs, the longest call
// first.
func (e *Endpoint) atWork() []running {
	var list []running
	for _, ch := range e.unfinished() {
		// The call and the tasks are not of one moment: the list is for people.
		r := running{ch: ch, call: ch.task()}
		ch.mu.Lock()
		if ch.rare != nil {
			r.tasks = ch.rare.tasks
		}
		ch.mu.Unlock()
		if r.call.doing != doingNothing || r.tasks > 0 {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b running) int { return cmp.Compare(b.call.took, a.call.took) })
	return list
}

// logHung logs what keeps Close from its end, and returns it in short for the
// error of Close, or "".
func (e *Endpoint) logHung() string {
	const most = 3
	var short []string
	for i, r := range e.atWork() {
		if i < most {
			short = append(short, r.String())
		}
		e.log.Warn("handler does not end", "channel", r.ch.route.pattern, "topic", clip(r.ch.topic),
			"handler", r.call.doing.String(), "for", r.call.took, "tasks", r.tasks)
	}
	if len(short) == 0 {
		return ""
	}
	return ": running " + strings.Join(short, ", ")
}
