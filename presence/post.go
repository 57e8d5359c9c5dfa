package presence

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"
)

// post holds the letters that wait to be sent. A letter that waits is not added
// again, so there are few for each node besides those to all. The tracker's mutex
// guards it, except for the counters.
type post struct {
	waiting []letter // in the order of the first request
	// known has the letters in waiting. wake has capacity 1: it is full when the
	// goroutine of Run has something to look for.
	known map[letter]bool
	wake  chan struct{} // of the goroutine that sends

	sent, failed, dropped atomic.Int64
}

// maxLetters bounds the letters that wait, since names of nodes come from outside.
// What is dropped, a state for a node that asked, is asked for again.
const maxLetters = 4096

// add adds letters that do not wait already, and wakes the sender. The mutex is
// held.
func (p *post) add(list []letter) {
	p.keep(list...)
	if len(p.waiting) > 0 {
		poke(p.wake)
	}
}

// keep is add without waking the sender, which has a pause to keep. The mutex is held.
func (p *post) keep(list ...letter) {
	for _, l := range list {
		switch {
		case p.known[l]:
		case len(p.waiting) >= maxLetters:
			p.dropped.Add(1)
		default:
			p.known[l] = true
			p.waiting = append(p.waiting, l)
		}
	}
}

// next takes the first letter. From then on one like it may be added again. The
// mutex is held.
func (p *post) next() (letter, bool) {
	if len(p.waiting) == 0 {
		return letter{}, false
	}
	l := p.waiting[0]
	p.waiting = p.waiting[1:]
	delete(p.known, l)
	return l, true
}

// sendAll sends what waits, on the goroutine of Run and without the mutex. It
// returns false if something could not be sent and waits again. A lost delta waits
// again as a heartbeat, by whose version other nodes find that they missed it.
func (t *Tracker) sendAll(ctx context.Context) bool {
	for {
		t.mu.Lock()
		l, ok := t.post.next()
		var parts []gossip
		if ok {
			parts = t.machine.write(l)
		}
		t.mu.Unlock()
		if !ok {
			return true
		}
		// The mutex is free while the network is at work.
		if err := t.sendParts(ctx, l, parts); err != nil {
			if ctx.Err() == nil {
				t.post.failed.Add(1)
				t.logs.notSent.Log(t.logger, slog.LevelWarn, "presence not sent", "tracker", t.cfg.Name, "event", l.event, "to", l.to, "error", err)
			}
			if l.event == gossipDelta {
				l.event = gossipHeartbeat
			}
			t.mu.Lock()
			t.post.keep(l)
			t.mu.Unlock()
			return false
		}
	}
}

// sendParts sends one letter, all of it or up to the part that could not be sent.
func (t *Tracker) sendParts(ctx context.Context, l letter, parts []gossip) error {
	for _, g := range parts {
		if err := t.send(ctx, l, g); err != nil {
			return err
		}
		t.post.sent.Add(1)
	}
	return nil
}

// send sends one part of a letter. It takes at most a BroadcastPeriod, or a second if that
// is longer, so a network that hangs delays heartbeats by no more.
func (t *Tracker) send(ctx context.Context, l letter, g gossip) error {
	data, err := json.Marshal(g)
	if err != nil {
		return err
	}
	// The payload was encoded here, so that the hub cannot fail over it.
	limit, cancel := context.WithTimeout(ctx, max(t.cfg.BroadcastPeriod, time.Second))
	defer cancel()
	if l.to == "" {
		_, err = t.cfg.Hub.Broadcast(limit, t.channel(), l.event, json.RawMessage(data))
	} else {
		_, err = t.cfg.Hub.DirectBroadcast(limit, l.to, t.channel(), l.event, json.RawMessage(data))
	}
	return err
}

// poke wakes a goroutine that waits on a channel of capacity 1. It never blocks: a
// channel that is full has woken it already.
func poke(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
