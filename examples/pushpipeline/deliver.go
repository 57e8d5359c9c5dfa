package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/stage"
)

// The reasons for which a push is discarded on its last stretch.
const (
	noSubscriber receipt.Reason = "no_subscriber" // its user has no channel open
	connClosed   receipt.Reason = "conn_closed"   // the socket closed before it was written
	clientFull   receipt.Reason = "client_full"   // the socket's queue had no room
)

// event is the channel event of a push.
const event = "push_timed"

// delivery is one push on its way from a worker to its user's sockets. The
// push's receipt is given when each of them has it, or has turned out not to
// get it.
type delivery struct {
	push    push
	payload json.RawMessage
	receipt consumer.Deferred
	ledger  *ledger
	again   bool // it was sent anew since somebody came at the last moment

	left    atomic.Int64 // sockets that have not answered yet
	written atomic.Int64 // when the first of them had it, in nanoseconds of the push's own clock
	full    atomic.Bool
}

// holding is what left is kept at while it is not known yet how many sockets
// there are.
const holding = 1 << 40

// deliverer is the work of a worker.
type deliverer struct {
	endpoint *websocket.Endpoint
	ledger   *ledger
	lobby    *lobby
	pause    time.Duration // what a worker takes for a push besides
}

// work sends a push to its user's channels. It does not wait for the sockets:
// the receipt follows when they have it.
func (d *deliverer) work(ctx context.Context, p push) error {
	if d.pause > 0 {
		timer := time.NewTimer(d.pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	payload, err := json.Marshal(struct {
		Data   json.RawMessage `json:"data"`
		At     float64         `json:"at"` // unix milliseconds
		Seq    uint64          `json:"seq"`
		Origin string          `json:"origin"`
	}{p.Data, float64(p.At.UnixMicro()) / 1000, p.Seq, p.Origin})
	if err != nil {
		return err
	}
	receipt, ok := consumer.Defer(ctx)
	if !ok {
		return errors.New("the receipt was taken before")
	}
	d.send(ctx, &delivery{push: p, payload: payload, receipt: receipt, ledger: d.ledger})
	return nil
}

// send pushes a delivery to the channels of its user, or leaves it to the lobby
// if there are none.
func (d *deliverer) send(ctx context.Context, v *delivery) {
	v.left.Store(holding)
	channels := d.lobby.channelsOf(v.push.User)
	taken := 0
	for _, ch := range channels {
		// A channel that has ended reports it to the hook before this returns.
		err := ch.PushWritten(event, v.payload, v.Delivered)
		if !errors.Is(err, websocket.ErrNotJoined) && !errors.Is(err, websocket.ErrClosed) {
			taken++
		}
	}
	if taken > 0 {
		v.answered(holding - int64(len(channels)))
		return
	}
	// A channel may join between the push and the lobby. Once is enough: a
	// channel that is there and takes nothing has no room.
	first := !v.again
	v.again = true
	d.lobby.wait(v)
	if first && len(d.lobby.channelsOf(v.push.User)) > 0 {
		d.lobby.arrived(v.push.User)
	}
}

// Delivered is called by a socket's writer when it has written the push, or
// knows that it never will.
func (v *delivery) Delivered(at time.Time, err error) {
	switch {
	case err == nil:
		v.written.CompareAndSwap(0, int64(at.Sub(v.push.At))+1)
	case errors.Is(err, websocket.ErrQueueFull):
		v.full.Store(true)
	}
	v.answered(1)
}

// answered notes n answers and concludes with the last.
func (v *delivery) answered(n int64) {
	if v.left.Add(-n) == 0 {
		v.conclude()
	}
}

func (v *delivery) conclude() {
	if after := v.written.Load(); after != 0 {
		v.ledger.deliver(v.push, v.push.At.Add(time.Duration(after-1)))
		v.receipt.Finish(nil)
		return
	}
	reason := connClosed
	if v.full.Load() {
		reason = clientFull
	}
	v.receipt.Finish(stage.Discard(reason))
}

// giveUp ends a delivery that nobody wants.
func (v *delivery) giveUp() { v.receipt.Finish(stage.Discard(noSubscriber)) }

// lobby keeps pushes of users who have no channel open for a while: a client
// that reconnects misses nothing. Since a user has one push in flight, there is
// at most one for each.
type lobby struct {
	grace time.Duration
	again func(*delivery)

	mu       sync.Mutex
	waiting  map[string]*guest
	channels map[string][]*websocket.Channel // that have joined, by user
}

type guest struct {
	delivery *delivery
	timer    *time.Timer
}

func newLobby(grace time.Duration) *lobby {
	return &lobby{grace: grace, waiting: make(map[string]*guest), channels: make(map[string][]*websocket.Channel)}
}

// channelsOf returns the joined channels of a user. The caller must not change
// the slice.
func (l *lobby) channelsOf(user string) []*websocket.Channel {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.channels[user]
}

// joined adds a channel of a user, and sends what waited for that user.
func (l *lobby) joined(user string, ch *websocket.Channel) {
	l.mu.Lock()
	list := l.channels[user]
	l.channels[user] = append(list[:len(list):len(list)], ch) // others hold the old slice
	l.mu.Unlock()
	l.arrived(user)
}

// left removes a channel that has ended.
func (l *lobby) left(user string, ch *websocket.Channel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.channels[user]
	i := slices.Index(list, ch)
	if i < 0 {
		return
	}
	if list = append(list[:i:i], list[i+1:]...); len(list) == 0 {
		delete(l.channels, user)
		return
	}
	l.channels[user] = list
}

// wait takes a delivery for which there is no channel, for as long as it may
// wait; without a grace that is not at all.
func (l *lobby) wait(v *delivery) {
	l.mu.Lock()
	if l.grace <= 0 {
		l.mu.Unlock()
		v.giveUp()
		return
	}
	defer l.mu.Unlock()
	user := v.push.User
	g := l.waiting[user]
	if g == nil {
		// The grace runs from when the first push found nobody, also for those
		// behind it that wait for it in the dispatcher.
		g = &guest{}
		l.waiting[user] = g
		g.timer = time.AfterFunc(l.grace, func() { l.expire(user, g) })
	}
	g.delivery = v
}

func (l *lobby) expire(user string, g *guest) {
	l.mu.Lock()
	v := g.delivery
	g.delivery = nil
	if l.waiting[user] == g {
		delete(l.waiting, user)
	}
	l.mu.Unlock()
	if v != nil {
		v.giveUp()
	}
}

// arrived sends what waited for user, who has a channel now.
func (l *lobby) arrived(user string) {
	l.mu.Lock()
	g := l.waiting[user]
	if g == nil {
		l.mu.Unlock()
		return
	}
	delete(l.waiting, user)
	v := g.delivery
	g.delivery = nil
	l.mu.Unlock()
	g.timer.Stop()
	if v != nil {
		l.again(v)
	}
}

// close gives up everything that still waits, as at the end of the grace.
func (l *lobby) close() {
	l.mu.Lock()
	l.grace = 0
	waiting := l.waiting
	l.waiting = make(map[string]*guest)
	l.mu.Unlock()
	for user, g := range waiting {
		g.timer.Stop()
		l.expire(user, g)
	}
}

// count is how many pushes wait.
func (l *lobby) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}
