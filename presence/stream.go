package presence

import (
	"context"
	"slices"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// Push sends a message to one client and reports its end to written, as
// Channel.PushWritten of package websocket does. It must not block.
type Push = func(event string, payload any, written func(at time.Time, err error)) error

// stream is a client on its way to the state of a topic. The tracker's mutex guards
// it, but not push and done.
type stream struct {
	topic string
	push  Push
	begun bool
	keys  []string   // that are still to be sent; shared with others, not changed
	event string     // of the next part
	done  chan error // capacity 1: the end
	over  bool       // PushState has returned
}

// PushState sends a client the presences of a topic: presence_state, and for a
// large topic the rest as presence_diff, each with about 64 KiB of metas. A part is
// pushed when the one before has been written, so that a large room needs little of
// the client's queue. Each is of the moment at which it is pushed, between the diffs
// before and after it: a client that applies all of them, as the class Presence of
// phoenix.js does, has the list. Clients of one topic that ask at the same time
// share their first part.
//
// It returns when the last part has been pushed, with the first error of push, or
// when ctx is done. push is called in another goroutine, when the next diff is due.
// PushState must not be called in Fetch, OnDiff or a subscriber.
func (t *Tracker) PushState(ctx context.Context, topic string, push Push) error {
	if push == nil {
		return trackerOwner.Refuse("push", nil, "a function")
	}
	s := &stream{topic: topic, push: push, event: "presence_state", done: make(chan error, 1)}
	t.mu.Lock()
	t.teller.streams = append(t.teller.streams, s)
	t.wakeTeller(t.teller.paces.wait(topic, time.Since(t.made)))
	t.mu.Unlock()
	var err error
	select {
	case err = <-s.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	// A part may still be on its way, whose end would have the next one pushed.
	t.mu.Lock()
	s.over = true
	t.mu.Unlock()
	return err
}

// parts returns the next part of each stream whose topic is due, one for all that begin in
// the same topic. The others wait, since a part must not come before changes that are in
// it. The mutex is held.
func (t *Tracker) parts(due func(topic string) bool) (list []*telling) {
	begin := make(map[string]*telling)
	var later []*stream
	for _, s := range t.teller.streams {
		switch {
		case s.over:
			continue
		case !due(s.topic):
			later = append(later, s)
			continue
		case s.begun:
		case begin[s.topic] != nil:
			first := begin[s.topic]
			s.begun, s.keys = true, first.streams[0].keys
			first.streams = append(first.streams, s)
			continue
		default:
			s.begun = true
			for key := range t.view.topics[s.topic] {
				s.keys = append(s.keys, key)
			}
			slices.Sort(s.keys)
		}
		part := &telling{topic: s.topic, diff: &Diff{Joins: State{}, Leaves: State{}}, streams: []*stream{s}}
		s.keys = t.view.take(part.diff.Joins, s.topic, s.keys)
		if s.event == "presence_state" {
			begin[s.topic] = part
		}
		list = append(list, part)
	}
	t.teller.streams = later
	return list
}

// pushPart pushes a part to its clients, encoded once.
func (t *Tracker) pushPart(part *telling) {
	for len(part.streams) > 0 {
		s := part.streams[0]
		part.streams = part.streams[1:]
		t.guard(part.topic, func() {
			err := errPushCrashed // unless push returns
			defer func() { t.pushed(s, err) }()
			err = t.pushTo(s, part)
		})
	}
}

// pushTo pushes a part to one client. All clients of a part get the same event.
func (t *Tracker) pushTo(s *stream, part *telling) error {
	if part.encoded.Data == nil {
		var content any = part.diff.Joins
		if s.event != "presence_state" {
			content = *part.diff
		}
		p, err := pubsub.Encode(content)
		if err != nil && withoutUnfit(part.diff.Joins) {
			t.unfetched(part.topic, err)
			p, err = pubsub.Encode(content)
		}
		if err != nil {
			return err
		}
		part.encoded = p
	}
	if len(s.keys) == 0 {
		return s.push(s.event, part.encoded, nil)
	}
	return s.push(s.event, part.encoded, func(_ time.Time, err error) { t.written(s, err) })
}

// pushed notes that push has returned. The last part, or an error, ends the stream.
func (t *Tracker) pushed(s *stream, err error) {
	if err != nil || len(s.keys) == 0 {
		s.end(err)
	}
}

// written notes the end of a part that was pushed: the next one is due. It is called
// by the client's writer, and must not block.
func (t *Tracker) written(s *stream, err error) {
	if err != nil {
		s.end(err)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.event = "presence_diff"
	t.teller.streams = append(t.teller.streams, s)
	t.wakeTeller(t.teller.paces.wait(s.topic, time.Since(t.made)))
}

// end ends the stream. Only the first end counts.
func (s *stream) end(err error) {
	select {
	case s.done <- err:
	default:
	}
}
