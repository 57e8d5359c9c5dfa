package websocket

// notice is what the application knows of whether the queue is full. At most
// one notifier runs at a time, so that the calls never overlap and the last one
// is the present state.
type notice uint8

const (
	informed  notice = iota // the application knows; no notifier runs
	informing               // a notifier runs and has the present state
	outdated                // a notifier runs, and the state has changed since
)

// high reports whether the queue must count as full.
func (o *outbox) high() bool { return o.events.high(o.bounds) || o.asked.high(o.bounds) }

// low reports whether a full queue has drained.
func (o *outbox) low() bool { return o.events.low(o.bounds) && o.asked.low(o.bounds) }

// setFull notes whether the queue is full, and that the application must hear
// of a change.
func (o *outbox) setFull(full bool, do *effects) {
	if o.full == full {
		return
	}
	o.full = full
	do.filled = full
	do.drained = !full && o.phase == open
	// Without a hook of the application no notifier ever runs.
	if !o.bounds.notify {
		return
	}
	switch o.notice {
	case informed:
		o.notice = outdated
		do.notify = true
	case informing:
		o.notice = outdated
	case outdated: // changed back before the application was told
		o.notice = informing
	}
}

// notified steps a notifier: it returns what the application must be told next,
// or false if it knows everything and the notifier must end.
func (o *outbox) notified() (full, ok bool) {
	if o.notice == outdated {
		o.notice = informing
		return o.full, true
	}
	o.notice = informed
	return false, false
}
