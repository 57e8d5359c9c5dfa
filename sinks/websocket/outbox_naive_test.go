package websocket

import (
	"errors"
	"slices"
)

// naive is an outbox as one would explain it: a plain list of all that waits.
type naive struct {
	bounds  bounds
	waiting []*item
	writing []*item
	phase   phase
	full    bool
	held    bool // a message of the client waits
	pressed bool // until there are no replies
}

// size returns what is queued of events or of control messages.
func (n *naive) size(control bool, lists ...[]*item) (frames, bytes int) {
	for _, list := range lists {
		for _, it := range list {
			if it.control == control {
				frames++
				bytes += len(it.wire)
			}
		}
	}
	return frames, bytes
}

// append puts an item at its place in the line.
func (n *naive) append(it *item) {
	at := len(n.waiting)
	if it.urgent {
		at = 0
		for at < len(n.waiting) && n.waiting[at].urgent {
			at++
		}
	}
	n.waiting = slices.Insert(n.waiting, at, it)
}

// giveBack moves what is being written from i on back, behind what is urgent.
func (n *naive) giveBack(i int) {
	if n.phase != open {
		return
	}
	back := n.writing[i:]
	n.writing = n.writing[:i:i]
	for k := len(back) - 1; k >= 0; k-- {
		at := 0
		for !back[k].urgent && at < len(n.waiting) && n.waiting[at].urgent {
			at++
		}
		n.waiting = slices.Insert(n.waiting, at, back[k])
	}
}

// goOn ends the hold if there is room.
func (n *naive) goOn() {
	frames, bytes := n.size(true, n.waiting, n.writing)
	if n.phase != open || frames == 0 || !n.pressed && 2*frames < n.bounds.frames && bytes < n.bounds.bytes/2 {
		n.held, n.pressed = false, false
	}
}

func sizeOf(lists ...[]*item) (frames, bytes int) {
	for _, list := range lists {
		frames += len(list)
		for _, it := range list {
			bytes += len(it.wire)
		}
	}
	return frames, bytes
}

// room reports whether it fits if the other lists are what is queued.
func (n *naive) room(it *item, queued ...[]*item) bool {
	frames, bytes := n.size(false, queued...)
	return it.control || frames < n.bounds.frames && bytes+len(it.wire) <= n.bounds.bytes ||
		it.policy == retried && frames == 0
}

// put returns the items whose hooks must be called, with their reasons. The
// item itself is among them if it was refused.
func (n *naive) put(it *item) map[*item]error {
	fate := make(map[*item]error)
	if n.phase != open {
		fate[it] = ErrClosed
		return fate
	}
	if !it.control && (len(it.wire) > n.bounds.budget || it.policy != retried && len(it.wire) > n.bounds.bytes) {
		fate[it] = errLarge
		return fate
	}
	at := -1
	if it.key != "" {
		for i, w := range n.waiting {
			if w.key == it.key {
				at = i
			}
		}
	}
	for {
		if at >= 0 {
			rest := slices.Delete(slices.Clone(n.waiting), at, at+1)
			_, bytes := n.size(false, rest, n.writing)
			if len(it.wire) <= len(n.waiting[at].wire) || bytes+len(it.wire) <= n.bounds.bytes {
				fate[n.waiting[at]] = ErrConflated
				n.waiting[at] = it
				break
			}
		} else if n.room(it, n.waiting, n.writing) {
			n.append(it)
			break
		}
		i := -1
		if it.policy == DropOldest {
			i = slices.IndexFunc(n.waiting, func(w *item) bool { return !w.control && w.policy != retried })
		}
		if i < 0 {
			n.refuse(it, fate)
			return fate
		}
		fate[n.waiting[i]] = ErrQueueFull
		n.waiting = slices.Delete(n.waiting, i, i+1)
		switch {
		case i == at:
			at = -1
		case i < at:
			at--
		}
	}
	for _, control := range []bool{false, true} {
		frames, bytes := n.size(control, n.waiting, n.writing)
		n.full = n.full || frames > n.bounds.frames*3/4 || bytes > n.bounds.bytes/4*3
	}
	return fate
}

func (n *naive) refuse(it *item, fate map[*item]error) {
	fate[it] = ErrQueueFull
	switch {
	case it.policy == retried:
		n.full = true
	case it.policy == CloseSlow:
		n.close(ErrQueueFull, false, fate)
	}
}

func (n *naive) close(reason error, flush bool, fate map[*item]error) {
	if n.phase != open {
		return
	}
	n.phase = closing
	if !flush {
		n.drop(reason, fate)
	}
	text := closeText(1000, reason)
	if reason == ErrQueueFull {
		text = closeText(tryAgainLater, reason)
	}
	n.append(&item{wire: closeWire(1000, text), control: true, last: true})
	n.goOn()
}

func (n *naive) leave(fate map[*item]error) {
	if n.phase != open {
		return
	}
	n.waiting = slices.DeleteFunc(n.waiting, func(it *item) bool {
		if !it.control {
			fate[it] = ErrClosed
		}
		return !it.control
	})
	n.close(ErrClosed, true, fate)
}

func (n *naive) finish(fate map[*item]error) {
	n.phase, n.full, n.held, n.pressed = closed, false, false, false
	n.drop(ErrClosed, fate)
}

func (n *naive) drop(reason error, fate map[*item]error) {
	for _, it := range n.waiting {
		if !it.last {
			fate[it] = reason
		}
	}
	n.waiting = nil
}

func (n *naive) wrote() {
	n.writing = nil
	n.goOn()
	for _, control := range []bool{false, true} {
		frames, bytes := n.size(control, n.waiting)
		if frames > 0 && (2*frames >= n.bounds.frames || bytes >= n.bounds.bytes/2) {
			return
		}
	}
	n.full = false
}

// errLarge stands for every *TooLargeError.
var errLarge = errors.New("too large")

// hold is the client that has sent a message.
func (n *naive) hold(times int, pressed bool) bool {
	frames, bytes := n.size(true, n.waiting, n.writing)
	pressed = pressed && frames > 0
	must := n.phase == open && (pressed || frames >= times*n.bounds.frames || bytes >= times*n.bounds.bytes)
	n.held, n.pressed = n.held || must, n.pressed || must && pressed
	return must
}
