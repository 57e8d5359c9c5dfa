package websocket

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// boxed returns an item whose name is its content.
func boxed(name string, policy Overflow) *item { return &item{wire: wire(name), policy: policy} }

func named(list []*item) string {
	names := make([]string, len(list))
	for i, it := range list {
		names[i] = string(it.wire)
	}
	return strings.Join(names, " ")
}

// waitingIn returns the names of the items that wait, with "close" for the
// close frame.
func waitingIn(o *outbox) string {
	if o.line == nil {
		return ""
	}
	list := slices.Clone(o.line.items[o.line.head:])
	for i, it := range list {
		if it.last {
			list[i] = &item{wire: wire("close")}
		}
	}
	return named(list)
}

// TestPut goes through what can happen to one item, with a queue of four frames
// and twenty bytes.
func TestPut(t *testing.T) {
	control := &item{wire: wire("ctl"), control: true}
	keyed := func(name string, policy Overflow) *item {
		return &item{wire: wire(name), key: "k", policy: policy}
	}
	history := func(name string) *item { return boxed(name, retried) }
	newest, oldest, slow := DropNewest, DropOldest, CloseSlow
	for _, c := range []struct {
		name    string
		queued  []*item
		it      *item
		err     error
		waiting string
		dropped string
		do      effects // only the booleans are compared
	}{
		{"room", nil, boxed("a", slow), nil, "a", "", effects{wake: true}},
		{"behind others", []*item{boxed("a", slow)}, boxed("b", slow), nil, "a b", "", effects{}},
		{"passes the high mark", []*item{boxed("a", slow), boxed("b", slow), boxed("c", slow)}, boxed("d", slow),
			nil, "a b c d", "", effects{filled: true, notify: true}},
		{"bytes count too", []*item{boxed("aaaaa", slow)}, boxed("bbbbbbbbbbbb", slow),
			nil, "aaaaa bbbbbbbbbbbb", "", effects{filled: true, notify: true}},
		{"newest gives way", four(newest), boxed("e", newest), ErrQueueFull, "a b c d", "", effects{lost: true}},
		{"oldest gives way", four(newest), boxed("e", oldest), nil, "b c d e", "a", effects{}},
		{"several oldest give way", four(newest), boxed("eeeeeeeeeeeeeeeeee", oldest), nil, "c d eeeeeeeeeeeeeeeeee", "a b", effects{}},
		{"nothing gives way for what never fits", four(newest), boxed(strings.Repeat("e", 21), oldest),
			tooLarge(21, 20), "a b c d", "", effects{unfit: true}},
		{"what never fits closes nothing", []*item{boxed("a", slow)}, boxed(strings.Repeat("e", 21), slow),
			tooLarge(21, 20), "a", "", effects{unfit: true}},
		{"history larger than all queues may be", nil, history(strings.Repeat("e", 31)),
			tooLarge(31, 30), "", "", effects{unfit: true}},
		{"control messages do not give way", append(four(oldest)[1:], control, history("x")), boxed(strings.Repeat("e", 20), oldest),
			ErrQueueFull, "ctl x", "b c d", effects{lost: true}},
		{"control messages take no room of events", []*item{control, control, control, control}, boxed("e", slow),
			nil, "ctl ctl ctl ctl e", "", effects{}},
		{"history does not give way", []*item{history("a"), history("b"), history("c"), history("d")}, boxed("e", oldest),
			ErrQueueFull, "a b c d", "", effects{lost: true}},
		{"closes the slow", four(newest), boxed("e", slow), ErrQueueFull, "close", "a b c d",
			effects{lost: true, closing: true}},
		{"control beyond the bound", four(newest), control, nil, "a b c d ctl", "", effects{}},
		{"control beyond its own bound", append(four(newest), control, control, control, control), control,
			nil, "a b c d ctl ctl ctl ctl ctl", "", effects{}},
		{"urgent", append(four(newest), control), urgent("u"), nil, "u a b c d ctl", "", effects{}},
		{"urgent in its turn", append(four(newest), urgent("u")), urgent("v"), nil, "u v a b c d", "", effects{}},
		{"history waits for room", four(newest), history("e"), ErrQueueFull, "a b c d", "", effects{}},
		{"history alone may be longer than the queue", nil, history(strings.Repeat("e", 21)), nil,
			strings.Repeat("e", 21), "", effects{wake: true, filled: true, notify: true}},
		{"history that finds no room fills the queue", []*item{boxed("a", slow)}, history(strings.Repeat("e", 21)),
			ErrQueueFull, "a", "", effects{filled: true, notify: true}},
		{"conflated", []*item{keyed("a", slow), boxed("b", slow)}, keyed("c", slow), nil, "c b", "", effects{}},
		{"conflated in a full queue", append(four(newest)[:3], keyed("d", newest)), keyed("e", newest), nil, "a b c e", "", effects{}},
		{"conflated with one that does not fit", append(four(newest)[:3], keyed("d", newest)), keyed(strings.Repeat("e", 18), newest),
			ErrQueueFull, "a b c d", "", effects{lost: true}},
		{"conflated with one for which others give way", append(four(newest)[:3], keyed("d", newest)), keyed(strings.Repeat("e", 18), oldest),
			nil, "b c " + strings.Repeat("e", 18), "a", effects{}},
		{"conflated with one for which its own gives way", []*item{keyed("a", newest), boxed("b", newest)}, keyed(strings.Repeat("e", 20), oldest),
			nil, strings.Repeat("e", 20), "a b", effects{filled: true, notify: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := outbox{bounds: &bounds{frames: 4, bytes: 20, budget: 30, notify: true}}
			var do effects
			for _, it := range c.queued {
				if o.put(it, &do); do.err != nil {
					t.Fatal(do.err)
				}
			}
			before := o.total().bytes
			do = effects{}
			o.put(c.it, &do)
			if !sameError(do.err, c.err) || waitingIn(&o) != c.waiting || named(do.dropped) != c.dropped {
				t.Errorf("error %v, waiting %q, dropped %q, want %v, %q, %q", do.err, waitingIn(&o), named(do.dropped), c.err, c.waiting, c.dropped)
			}
			got := effects{lost: do.lost, unfit: do.unfit, wake: do.wake, closing: do.closing, filled: do.filled, notify: do.notify}
			if !sameFlags(got, c.do) {
				t.Errorf("effects %+v, want %+v", got, c.do)
			}
			if do.bytes != o.total().bytes-before {
				t.Errorf("the bytes changed by %d, it says %d", o.total().bytes-before, do.bytes)
			}
		})
	}
}

func tooLarge(bytes, limit int) error { return &TooLargeError{Bytes: bytes, Limit: limit} }

func urgent(name string) *item { return &item{wire: wire(name), control: true, urgent: true} }

// sameError compares errors of put, of which one has values.
func sameError(a, b error) bool {
	var large, want *TooLargeError
	if errors.As(a, &large) && errors.As(b, &want) {
		return *large == *want
	}
	return a == b
}

// TestHold goes through the holds of the client's messages, with a queue of four
// frames.
func TestHold(t *testing.T) {
	var do effects
	step := func() *effects { do = effects{}; return &do }
	fill := func(n int, it func() *item) *outbox {
		o := &outbox{bounds: &bounds{frames: 4, bytes: 20, budget: 1000}}
		for range n {
			o.put(it(), step())
		}
		return o
	}
	control := func() *item { return &item{wire: wire("r"), control: true} }
	if o := fill(4, func() *item { return boxed("e", DropNewest) }); o.hold(1, true) {
		t.Error("events hold the client's messages")
	}
	if o := fill(3, control); o.hold(1, false) {
		t.Error("held below the bound")
	}
	if o := fill(2, func() *item { return &item{wire: wire("0123456789"), control: true} }); !o.hold(1, false) {
		t.Error("not held by bytes")
	}
	o := fill(4, control)
	if !o.hold(1, false) || o.hold(2, false) {
		t.Error("not held at the bound, or a heartbeat is")
	}
	for n := 3; n >= 0; n-- {
		b := batch{asked: load{1, 1}}
		if o.wrote(&b, step()); do.goOn != (n == 1) {
			t.Errorf("goes on %v with %d frames left", do.goOn, n)
		}
	}
	o = fill(3, control)
	if !o.hold(1, true) {
		t.Error("not held although all queues are long")
	}
	for n := 2; n >= 0; n-- {
		b := batch{asked: load{1, 1}}
		if o.wrote(&b, step()); do.goOn != (n == 0) {
			t.Errorf("goes on %v with %d frames left", do.goOn, n)
		}
	}
	o = fill(9, control)
	o.hold(2, false)
	if o.close(1000, nil, true, step()); !do.goOn || o.hold(1, true) {
		t.Error("held although the session closes")
	}
	o = fill(9, control)
	o.hold(1, false)
	if o.finish(nil, step()); !do.goOn {
		t.Error("held although the session has ended")
	}
}

// four are items that fill the queue of TestPut.
func four(policy Overflow) []*item {
	return []*item{boxed("a", policy), boxed("b", policy), boxed("c", policy), boxed("d", policy)}
}

func sameFlags(a, b effects) bool {
	return a.lost == b.lost && a.unfit == b.unfit && a.goOn == b.goOn && a.wake == b.wake && a.closing == b.closing && a.closed == b.closed &&
		a.filled == b.filled && a.drained == b.drained && a.notify == b.notify && a.more == b.more
}

// TestLatestOfAKeyAfterAGiveBack: an item that comes back does not take the place of the latest
// one with its key.
func TestLatestOfAKeyAfterAGiveBack(t *testing.T) {
	o := &outbox{bounds: &bounds{frames: 10, bytes: 100, budget: 1000}}
	put := func(name string) {
		o.put(&item{wire: wire(name), key: "k", policy: DropNewest}, new(effects))
	}
	var b batch
	put("1")
	o.take(&b, fullBatch)
	put("2")
	o.giveBack(&b, 0)
	put("3")
	if got := waitingIn(o); got != "1 3" && got != "1 3 " {
		t.Errorf("waiting: %q, want 1 and 3", got)
	}
}

// TestOutboxLife goes through the phases of a session.
func TestOutboxLife(t *testing.T) {
	var do effects
	step := func() *effects { do = effects{}; return &do }
	gone := errors.New("gone")
	fresh := func() *outbox { return &outbox{bounds: &bounds{frames: 4, bytes: 100, budget: 1000}} }
	var b batch

	o := fresh()
	o.writer = writerHeld
	if o.put(boxed("a", CloseSlow), step()); do.wake {
		t.Error("a writer that is held was woken")
	}
	if o.start(step()); !do.wake {
		t.Error("what waited was not written after the hold")
	}
	if !o.take(&b, slowBatch) || b.n != 1 {
		t.Errorf("took %d frames", b.n)
	}
	if o.put(boxed("b", CloseSlow), step()); do.wake {
		t.Error("a busy writer was woken")
	}
	if o.wrote(&b, step()); !do.more {
		t.Error("the writer was not told that there is more")
	}
	o.take(&b, slowBatch)
	if o.wrote(&b, step()); do.more || o.writer != writerIdle || o.line != nil {
		t.Errorf("more %v, writer %v, line %v", do.more, o.writer, o.line)
	}
	if o.put(boxed("c", CloseSlow), step()); !do.wake {
		t.Error("an idle writer was not woken")
	}
	if o.close(1000, gone, true, step()); !do.closing || do.wake || waitingIn(o)[:2] != "c " {
		t.Errorf("closing %v, wake %v, waiting %q", do.closing, do.wake, waitingIn(o))
	}
	if o.put(boxed("d", CloseSlow), step()); do.err != ErrClosed {
		t.Errorf("after close: %v", do.err)
	}
	if o.close(1000, gone, true, step()); do.closing {
		t.Error("closed twice")
	}
	o.take(&b, slowBatch)
	if o.finish(ErrShutdown, step()); !do.closed || o.ended != gone {
		t.Errorf("closed %v, ended by %v", do.closed, o.ended)
	}
	if o.finish(ErrShutdown, step()); do.closed {
		t.Error("finished twice")
	}
	if o.wrote(&b, step()); o.total() != (load{}) || do.more {
		t.Errorf("left: %+v", o.total())
	}

	o = fresh()
	for _, it := range four(CloseSlow) {
		o.put(it, step())
	}
	if o.close(1000, gone, false, step()); named(do.dropped) != "a b c d" || do.reason != gone || waitingIn(o) != "close" {
		t.Errorf("dropped %q because of %v, waiting %q", named(do.dropped), do.reason, waitingIn(o))
	}
	if o.finish(ErrShutdown, step()); len(do.dropped) != 1 || !do.dropped[0].last || o.total().frames != 0 || do.drained {
		t.Errorf("dropped %d, left %d", len(do.dropped), o.total().frames)
	}
}

// TestNotices pins the calls of a notifier: never the same twice in a row, and the
// present state last.
func TestNotices(t *testing.T) {
	o := outbox{bounds: &bounds{frames: 4, bytes: 100, notify: true}}
	change := func(full, starts bool) {
		t.Helper()
		var do effects
		if o.setFull(full, &do); do.notify != starts {
			t.Errorf("full %v: starts a notifier %v, want %v", full, do.notify, starts)
		}
	}
	tells := func(full, ok bool) {
		t.Helper()
		if f, more := o.notified(); f != full || more != ok {
			t.Errorf("tells %v, %v, want %v, %v", f, more, full, ok)
		}
	}
	change(true, true)
	change(true, false) // no change
	tells(true, true)
	change(false, false)
	change(true, false) // changed back before it was told
	tells(false, false)
	change(false, true)
	tells(false, true)
	change(true, false)
	tells(true, true)
	tells(false, false)

	o = outbox{bounds: &bounds{frames: 4, bytes: 100, budget: 1000}}
	change(true, false) // the application has no callback
	change(false, false)
}
