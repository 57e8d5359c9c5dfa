package websocket

import "iter"

// channelList is the channels of a session, which are few, so that a search is faster than a
// map. The links are in the channels: a list costs one word. The session's mutex guards it.
type channelList struct{ first *Channel }

// all returns the channels in the order in which they were added.
func (l channelList) all() iter.Seq[*Channel] {
	return func(yield func(*Channel) bool) {
		for ch := l.first; ch != nil && yield(ch); ch = ch.nextOfSession {
		}
	}
}

// copied returns them as a slice.
func (l channelList) copied() (list []*Channel) {
	for ch := range l.all() {
		list = append(list, ch)
	}
	return list
}

// add puts a channel at the end.
func (l *channelList) add(ch *Channel) {
	at := &l.first
	for *at != nil {
		at = &(*at).nextOfSession
	}
	*at = ch
}

// remove takes a channel out, if it is there.
func (l *channelList) remove(ch *Channel) {
	for at := &l.first; *at != nil; at = &(*at).nextOfSession {
		if *at == ch {
			*at, ch.nextOfSession = ch.nextOfSession, nil
			return
		}
	}
}
