package websocket

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// modelRun steps an outbox and the model side by side.
type modelRun struct {
	t     *testing.T
	o     outbox
	n     naive
	b     batch
	taken bool // b is being written

	during          func()          // what happens while the hooks of a batch are called
	hooks           map[*item]error // by the items that were put
	calls           int
	bytes           int  // the sum of the changes
	apart           int  // of them, those that wait for the client
	fulls, drains   int  // effects
	held            bool // by its effects
	wasFull         bool
	told            []bool // by the notifier
	notifiers, woke int    // that run; that the writer was woken
}

// hook notes the one call of the hook of an item.
func (r *modelRun) hook(it *item, err error) {
	if it.last {
		return
	}
	if _, again := r.hooks[it]; again {
		r.t.Fatalf("second call of a hook: %v", err)
	}
	var large *TooLargeError
	if errors.As(err, &large) {
		err = errLarge
	}
	r.hooks[it] = err
	r.calls++
}

// act does what a session does with the effects.
func (r *modelRun) act(do *effects) {
	if do.conflated != nil {
		r.hook(do.conflated, ErrConflated)
	}
	for _, it := range do.dropped {
		r.hook(it, do.reason)
	}
	r.bytes += do.bytes
	if r.apart += do.moved; do.apart {
		r.apart += do.bytes
	}
	if do.wake {
		r.woke++
	}
	if do.filled {
		r.fulls++
	}
	if do.drained {
		r.drains++
	}
	if do.notify {
		r.notifiers++
	}
	if do.goOn {
		if !r.held {
			r.t.Fatal("goes on twice")
		}
		r.held = false
	}
}

// hold is a message of the client that must be held or not.
func (r *modelRun) hold(times int, pressed bool) {
	got, want := r.o.hold(times, pressed), r.n.hold(times, pressed)
	if got != want {
		r.t.Fatalf("held %v at %d times the bounds, want %v", got, times, want)
	}
	r.held = r.held || got
}

func (r *modelRun) put(it *item) {
	var do effects
	r.o.put(it, &do)
	if do.err != nil {
		r.hook(it, do.err)
	}
	r.act(&do)
	r.expect(r.n.put(it))
}

// expect compares the hooks that a step called with those of the model.
func (r *modelRun) expect(fate map[*item]error) {
	for it, err := range fate {
		if got, ok := r.hooks[it]; !ok || got != err {
			r.t.Fatalf("hook of %d bytes: %v (called: %v), want %v", len(it.wire), got, ok, err)
		}
	}
	if r.calls != len(fate) {
		r.t.Fatalf("%d hooks called in one step, want %d", r.calls, len(fate))
	}
	r.calls = 0
}

func (r *modelRun) write(rnd *rand.Rand) {
	if r.taken {
		var do effects
		r.o.account(&r.b, &do)
		for i := range r.b.n {
			r.hook(r.b.items[i], nil)
		}
		r.calls = 0
		r.act(&do)
		r.n.wrote()
		r.during() // the hooks
		r.o.next(&do)
		r.taken = false
		if !do.more {
			r.woke--
		}
		return
	}
	if r.woke == 0 {
		return
	}
	if !r.o.take(&r.b, load{1 + rnd.IntN(64), 1 + rnd.IntN(20_000)}) {
		r.woke--
		if len(r.n.waiting) > 0 && r.n.phase != closed {
			r.t.Fatal("nothing to take, but something waits")
		}
		return
	}
	for i := range r.b.n {
		if it := r.n.waiting[i]; it != r.b.items[i] && !(it.last && r.b.items[i].last) {
			r.t.Fatalf("frame %d of a batch is out of order", i)
		}
	}
	r.n.writing, r.n.waiting = r.n.waiting[:r.b.n:r.b.n], r.n.waiting[r.b.n:]
	r.taken = true
}

// giveBack is a client that does not take all of a batch at once.
func (r *modelRun) giveBack(rnd *rand.Rand) {
	if r.taken {
		var do effects
		r.o.setApart(&do)
		r.act(&do)
		i := rnd.IntN(r.b.n + 1)
		r.o.giveBack(&r.b, i)
		r.n.giveBack(i)
	}
}

func (r *modelRun) notifier() {
	if r.notifiers == 0 {
		return
	}
	full, ok := r.o.notified()
	if !ok {
		r.notifiers--
		return
	}
	r.told = append(r.told, full)
}

func (r *modelRun) check() {
	frames, bytes := sizeOf(r.n.waiting, r.n.writing)
	o := &r.o
	switch {
	case o.total() != load{frames, bytes} || r.bytes != bytes || o.line.len() != len(r.n.waiting):
		r.t.Fatalf("%+v (%d bytes by its changes), want %d, %d", o.total(), r.bytes, frames, bytes)
	case o.apart && r.apart != bytes || !o.apart && r.apart != 0:
		r.t.Fatalf("%d bytes wait for the client, of %d (%v)", r.apart, bytes, o.apart)
	case o.held != r.n.held || r.held != r.n.held:
		r.t.Fatalf("held %v, by its effects %v, want %v", o.held, r.held, r.n.held)
	case r.held && r.woke == 0:
		r.t.Fatal("held, and nothing is being written")
	case o.phase != r.n.phase || o.full != r.n.full:
		r.t.Fatalf("phase %d, full %v, want %d, %v", o.phase, o.full, r.n.phase, r.n.full)
	case r.woke < 0 || r.woke > 1 || (r.woke == 1) != (o.writer == writerBusy):
		r.t.Fatalf("%d writers woken, state %d", r.woke, o.writer)
	case len(r.n.waiting) > 0 && r.n.phase != closed && r.woke == 0:
		r.t.Fatal("something waits, and no writer was woken")
	case r.notifiers > 1:
		r.t.Fatal("two notifiers run")
	case r.notifiers == 0 && r.o.full != (len(r.told) > 0 && r.told[len(r.told)-1]):
		r.t.Fatalf("full is %v, the application was told %v", r.o.full, r.told)
	}
	if r.n.full && !r.wasFull {
		r.fulls--
	}
	if !r.n.full && r.wasFull && o.phase == open {
		r.drains--
	}
	if r.wasFull = r.n.full; r.fulls != 0 || r.drains != 0 {
		r.t.Fatalf("changes too many: full %d, drained %d", r.fulls, r.drains)
	}
	for i, full := range r.told {
		if full != (i%2 == 0) {
			r.t.Fatalf("told %v", r.told)
		}
	}
}

// TestOutboxModel compares the outbox with the naive one under random steps:
// what is queued, its order, the bounds, and that each hook is called once.
func TestOutboxModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for life := range 400 {
		own := bounds{frames: 1 + rnd.IntN(40), bytes: 100 + rnd.IntN(40_000), notify: true}
		own.budget = own.bytes + rnd.IntN(own.bytes)
		r := &modelRun{t: t, o: outbox{bounds: &own}, n: naive{bounds: own}, hooks: make(map[*item]error)}
		put := 0
		r.during = func() {
			if rnd.IntN(3) == 0 {
				r.check()
				r.put(randomItem(rnd, own.bytes))
				put++
			}
		}
		for range 300 {
			switch rnd.IntN(100) {
			case 0:
				flush := rnd.IntN(2) == 0
				var do effects
				r.o.close(1000, ErrShutdown, flush, &do)
				r.act(&do)
				fate := make(map[*item]error)
				r.n.close(ErrShutdown, flush, fate)
				r.expect(fate)
			case 16:
				var do effects
				r.o.leave(1000, &do)
				r.act(&do)
				fate := make(map[*item]error)
				r.n.leave(fate)
				r.expect(fate)
			case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10:
				r.notifier()
			case 11, 12, 13, 14, 15:
				r.hold(1+rnd.IntN(2), rnd.IntN(3) == 0)
			default:
				if rnd.IntN(10) == 0 {
					r.giveBack(rnd)
					break
				}
				if rnd.IntN(5) < 2 {
					r.write(rnd)
					break
				}
				r.put(randomItem(rnd, own.bytes))
				put++
			}
			r.check()
		}
		var do effects
		r.o.finish(ErrDisconnected, &do)
		r.act(&do)
		fate := make(map[*item]error)
		r.n.finish(fate)
		r.expect(fate)
		for r.taken || r.woke > 0 || r.notifiers > 0 {
			r.write(rnd)
			r.notifier()
		}
		r.check()
		if len(r.hooks) != put {
			t.Fatalf("life %d: %d hooks for %d items", life, len(r.hooks), put)
		}
	}
}

func randomItem(rnd *rand.Rand, bytes int) *item {
	it := &item{wire: make(wire, 1+rnd.IntN(bytes/3)), policy: []Overflow{CloseSlow, DropNewest, DropNewest, DropOldest, DropOldest, DropOldest, retried}[rnd.IntN(7)]}
	switch rnd.IntN(20) {
	case 0:
		it.wire = make(wire, bytes+rnd.IntN(bytes))
	case 1, 2, 7, 8:
		it.control = true
		it.urgent = rnd.IntN(3) == 0
	case 3, 4, 5, 6:
		it.key = fmt.Sprint(rnd.IntN(4))
	}
	if it.policy == CloseSlow && rnd.IntN(4) > 0 {
		it.policy = DropNewest
	}
	if it.policy == retried {
		it.key = ""
	}
	return it
}
