package pipeline_test

import (
	"fmt"
	"hash/fnv"
	"time"
)

// item is an event of the model: the number that its source gave it, the key that follows
// from that, and what it has passed on its way.
type item struct {
	ID, Key int
	Path    string
}

// hash returns a number that is the same whenever the same is asked of an item.
func (v item) hash(about string) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, about, " ", v.ID, ":", v.Path)
	return h.Sum64()
}

// fate is what becomes of an item in a step, always the same.
type fate struct {
	failed, discarded bool // for good
	panics            bool
	never             bool // the first error is final
	tries             int  // failures before the end
	later             bool // they do not count
	after             bool // they ask for a pause
	hangs             bool // the attempts that fail do so by their timeout
	took              time.Duration
}

// modelNode is a step of the model.
type modelNode struct {
	name     string
	kind     string
	note     string // its config, for people
	mark     string // what it appends to the path
	attempts int    // of its retry policy
	timeout  bool
	strict   bool // its first failure ends the pipeline
	calm     bool // nothing fails in it
	skips    bool // its middleware skips some items
	even     bool // its function has several events at once: those that fail do so one by one
	// optional is set, under the run's lock, when items may pass it by: its branch drops, was
	// added late or was removed.
	optional bool
	order    byte // in which items are handled, at an end: 't' total, 'k' of each key, 0 none
	split    func(v item) int
	next     []*modelNode // one, or those of its partitions or branches
	copies   bool         // next are branches
}

// fate decides about an item.
func (n *modelNode) fate(v item) (f fate) {
	h := v.hash(n.name)
	what := h % 200
	if what < 60 {
		f.took = time.Duration(h/200%10) * time.Millisecond
	} else if what < 64 {
		f.took = time.Duration(h/200%300) * time.Millisecond
	}
	if n.calm {
		return f
	}
	if n.kind == "reduce" {
		f.failed, f.panics, f.discarded = what >= 160 && what < 168, what == 167, what == 176
		return f
	}
	if n.even && (what == 166 || what == 167 || what == 173 || what == 174 || what == 175) {
		return f
	}
	most := max(1, n.attempts-1)
	some := 1 + int(h/4000)%most
	switch {
	case what >= 160 && what < 166:
		f.failed, f.tries = true, n.attempts
	case what == 166:
		f.failed, f.never, f.tries = true, true, 1
	case what == 167:
		f.failed, f.panics, f.tries = true, true, n.attempts
	case what >= 168 && what < 172 && n.attempts > 1:
		f.tries = some
	case what == 173 && n.attempts > 1:
		f.tries, f.panics = some, true
	case what == 174:
		f.tries, f.later = 2, true
	case what == 175 && n.attempts > 1:
		f.tries, f.after = 1, true
	case what == 176:
		f.discarded = true
	case what == 177 && n.attempts > 1 && n.timeout:
		f.tries, f.hangs = 1, true
	}
	return f
}

// made returns what a step makes of an item, but for its fate.
func (n *modelNode) made(v item) []item {
	v.Path += n.mark
	switch n.kind {
	case "filter":
		if v.hash("filter"+n.name)%5 == 0 {
			return nil
		}
	case "flatmap":
		out := make([]item, v.hash("split"+n.name)%4)
		for i := range out {
			out[i] = item{v.ID, v.Key, v.Path + string(rune('0'+i))}
		}
		return out
	}
	return []item{v}
}

// skipped reports whether the step's middleware lets no attempt at an item happen.
func (n *modelNode) skipped(v item) bool { return n.skips && v.hash("skip"+n.name)%40 == 0 }

// outcome is what a step's description expects of an item that has entered it.
type outcome struct {
	handled []string // the ends, and the path there
	letters []string // the steps in which something fails for good, with a letter
	// Whether something fails or is discarded for sure, and whether it may.
	fails, discards, mayFail, mayDiscard bool
	never                                bool // it has no receipt: it ends the pipeline
}

// expect adds what becomes of an item from the step on.
func (n *modelNode) expect(v item, maybe bool, o *outcome) {
	maybe = maybe || n.optional
	if n.skipped(v) {
		return
	}
	if n.kind == "batch" || n.kind == "reduce" { // its inputs have a receipt together
		o.mayFail, o.mayDiscard = true, true
	}
	f := n.fate(v)
	switch {
	case f.discarded && n.kind != "drop":
		o.mayDiscard, o.discards = true, o.discards || !maybe
		return
	case f.failed && n.strict:
		o.never = o.never || !maybe
		return
	case f.failed:
		o.mayFail, o.fails = true, o.fails || !maybe
		if !maybe && n.kind != "pool" && n.kind != "reduce" {
			o.letters = append(o.letters, n.label(v))
		}
		return
	}
	o.mayDiscard = o.mayDiscard || maybe
	for _, out := range n.made(v) {
		switch {
		case len(n.next) == 0:
			if !maybe {
				o.handled = append(o.handled, n.label(out))
			}
		case n.copies:
			for _, to := range n.next {
				to.expect(out, maybe, o)
			}
		case n.split != nil:
			if i := n.split(out); i < len(n.next) {
				n.next[i].expect(out, maybe, o)
			} else {
				o.mayFail, o.fails = true, o.fails || !maybe
			}
		default:
			n.next[0].expect(out, maybe, o)
		}
	}
}

// label names an item in a step.
func (n *modelNode) label(v item) string { return fmt.Sprint(n.name, " ", v.ID, ":", v.Path) }
