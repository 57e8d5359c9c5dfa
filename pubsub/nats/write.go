package nats

import (
	"context"
	"runtime"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/penstock-go/penstock/internal/backplane"
)

// claimPatience is how long a node of the same name may take to refuse a claim.
const claimPatience = time.Second

// writer is the state of the goroutine that calls the client.
type writer struct {
	*session
	announced int64     // the connection to which this node has announced itself
	claimEnds time.Time // zero before the claim
	greets    *time.Timer
	topics    map[string]*natsgo.Subscription
	block     backplane.Block // taken from the outbox, of which next is the first that is not sent
	next      int
}

// write sends what waits until ctx is done, and then says goodbye.
func (s *session) write(ctx context.Context) {
	w := &writer{session: s, topics: make(map[string]*natsgo.Subscription)}
	ticker := time.NewTicker(s.cfg.Beat)
	defer ticker.Stop()
	for {
		beat := false
		select {
		case <-ctx.Done():
			if w.greets != nil {
				w.greets.Stop()
			}
			w.leave()
			return
		case <-s.wake:
			runtime.Gosched() // what is about to be published goes out in the same write
		case <-ticker.C:
			beat = true
			s.expireMembers()
		}
		if s.conn.IsConnected() {
			w.round(beat)
		}
	}
}

// round does all that is due over a connection. What fails is done with the next one,
// of which the client wakes the writer.
func (w *writer) round(beat bool) {
	if n := w.dials.Load(); n != w.announced {
		if !w.announce() {
			return
		}
		w.announced, beat = n, false
	}
	if !w.joined.Load() {
		if !w.claimed.Load() && time.Now().Before(w.claimEnds) {
			if beat {
				w.claim() // the server may have learned meanwhile that a node has left
			}
			w.flush() // replies to rivals
			return
		}
		if !w.join() {
			return
		}
	}
	w.tellInterest()
	if beat && !w.sayBeat() {
		return
	}
	w.flush()
	w.setUp(w.session, true)
	// The connection may have been lost meanwhile, and the word of it come before.
	if w.dials.Load() != w.announced || !w.conn.IsConnected() {
		w.setUp(w.session, false)
	}
}

// announce is the first that this node sends over a connection. The client has
// subscribed again already to what it was subscribed to.
func (w *writer) announce() bool {
	server := w.conn.ConnectedServerId()
	w.server.Store(&server)
	w.limit.Store(w.conn.MaxPayload())
	if w.joined.Load() {
		w.counters.reconnects.Add(1)
		w.meters.reconnects.Add(1)
		w.cfg.Logger.Info("nats: connected again", "node", w.cfg.Node)
		// What was on its way out may be lost, as the others are to know before
		// anything else comes.
		w.links.Add(1)
		w.cutOff()
		return w.sayBeat()
	}
	if w.claimEnds.IsZero() && !w.subscribe(w.none+"*", w.subjects.process(w.self.Instance), w.subjects.owner(w.cfg.Node)) {
		return false
	}
	w.claimEnds = time.Now().Add(claimPatience)
	w.poke()
	return w.claim()
}

// claim asks for the name of this node.
func (w *writer) claim() bool {
	return w.publish(w.subjects.owner(w.cfg.Node), claimID, w.frame(backplane.KindClaim).Append(nil))
}

// claimID marks the claim of a name, which is free if the claim has no receiver.
const claimID = 2

// join makes this node a member.
func (w *writer) join() bool {
	if !w.subscribe(w.subjects.all, w.subjects.node(w.cfg.Node)) {
		return false
	}
	w.mu.Lock()
	w.members.Join(time.Now())
	w.mu.Unlock()
	w.joined.Store(true)
	w.greets = time.AfterFunc(min(w.cfg.Beat, greeting), func() { close(w.greeted) })
	return w.sayBeat()
}

// greeting is how long members may take to reply to the first beat.
const greeting = 100 * time.Millisecond

// sayBeat sends a beat to all.
func (w *writer) sayBeat() bool {
	w.beats.Add(1)
	return w.publish(w.subjects.all, 0, w.frame(backplane.KindBeat).Append(nil))
}

// subscribe subscribes the session's channel to subjects.
func (w *writer) subscribe(all ...string) bool {
	for _, subject := range all {
		if _, err := w.conn.ChanSubscribe(subject, w.arrived); err != nil {
			return w.wentWell(err)
		}
	}
	return true
}

// tellInterest brings the subscriptions up to date.
func (w *writer) tellInterest() {
	joins, leaves, upTo := w.interest.Take()
	for _, topic := range joins {
		sub, err := w.conn.ChanSubscribe(w.subjects.topic(topic), w.arrived)
		if !w.wentWell(err) {
			return // the client is closed: the session ends
		}
		w.topics[topic] = sub
	}
	for _, topic := range leaves {
		if sub := w.topics[topic]; sub != nil {
			delete(w.topics, topic)
			w.wentWell(sub.Unsubscribe())
		}
	}
	w.interest.Told(upTo)
}

// flush sends what is in the outbox. What cannot be sent stays, in its order.
func (w *writer) flush() {
	for {
		for ; w.next < len(w.block.Parcels); w.next++ {
			p := w.block.Parcels[w.next]
			if p.Subject == "" {
				w.drained(p.ID)
				continue
			}
			if !w.publish(p.Subject, p.ID, p.Data()) {
				return
			}
		}
		w.block, w.next = w.outbox.Take(w.block), 0
		if len(w.block.Parcels) == 0 {
			return
		}
	}
}

// publish gives a message to the client.
func (w *writer) publish(subject string, id uint64, data []byte) bool {
	if id == 0 {
		return w.wentWell(w.conn.Publish(subject, data))
	}
	return w.wentWell(w.conn.PublishRequest(subject, w.reply(id), data))
}

// wentWell reports whether a call of the client was a success, and logs why not.
func (w *writer) wentWell(err error) bool {
	if err == nil {
		return true
	}
	w.counters.errors.Add(1)
	w.complain(&w.logs.client, "error of the connection", "error", err)
	return false
}

// leave says goodbye, so that no node waits for this one.
func (w *writer) leave() {
	if !w.joined.Load() || !w.conn.IsConnected() {
		return
	}
	w.flush()
	// What others send once they have heard the goodbye must not come here, where nothing
	// is answered any more.
	for _, sub := range w.topics {
		w.wentWell(sub.Unsubscribe())
	}
	if w.publish(w.subjects.all, 0, w.frame(backplane.KindBye).Append(nil)) {
		_ = w.conn.FlushTimeout(byePatience / 2) // nothing follows from it
	}
}
