package redis

import (
	"context"
	"errors"
	"runtime"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/internal/backplane"
)

// claimPatience is how long a node of the same name may take to refuse a claim.
const claimPatience = time.Second

// write connects, and again after each failure, until ctx is done.
func (s *session) write(ctx context.Context) {
	defer func() {
		if s.greets != nil {
			s.greets.Stop()
		}
	}()
	for ctx.Err() == nil {
		err := s.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		s.counters.errors.Add(1)
		if !s.joined.Load() && isRefusal(err) {
			s.fail(err)
			return
		}
		s.complain(&s.logs.connection, "no connection: other nodes are not reached", "error", err)
		s.attempts++
		pause := time.NewTimer(reconnectDelay(s.attempts))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

// isRefusal reports whether a server refuses this node for good.
func isRefusal(err error) bool {
	return goredis.HasErrorPrefix(err, "WRONGPASS") || goredis.HasErrorPrefix(err, "NOAUTH") || goredis.HasErrorPrefix(err, "NOPERM")
}

// connect makes a link and works on it until it fails or ctx is done.
func (s *session) connect(ctx context.Context) error {
	l, err := s.openLink()
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.announce(ctx); err != nil {
		return err
	}
	ticker := time.NewTicker(s.cfg.Beat)
	defer ticker.Stop()
	for beat := false; ; {
		if err := l.round(ctx, beat); err != nil {
			return err
		}
		beat = false
		select {
		case <-ctx.Done():
			l.leave()
			return nil
		case <-l.done:
			return l.err
		case <-s.wake:
			runtime.Gosched() // what is about to be published goes out in the same round trip
			select {          // also while there always is something to send
			case <-ticker.C:
				beat = true
			default:
			}
		case <-ticker.C:
			beat = true
		}
		if beat {
			s.expireMembers()
		}
	}
}

// announce is the first that this node sends over a link.
func (l *link) announce(ctx context.Context) error {
	if !l.joined.Load() {
		if err := l.subscribe(l.channels.process(l.self.Instance), l.channels.owner(l.cfg.Node)); err != nil {
			return err
		}
		if err := l.confirm(ctx); err != nil {
			return err
		}
		l.claimEnds = time.Now().Add(claimPatience)
		return l.claim()
	}
	l.counters.reconnects.Add(1)
	l.meters.reconnects.Add(1)
	l.cfg.Logger.Info("redis: connected again", "node", l.cfg.Node)
	if err := l.subscribe(l.channels.process(l.self.Instance), l.channels.owner(l.cfg.Node), l.channels.all, l.channels.node(l.cfg.Node)); err != nil {
		return err
	}
	// What was on its way out may be lost, as the others are to know before anything
	// else comes.
	l.links.Add(1)
	l.cutOff()
	// A beat says that the topics of this node are in effect.
	if err := l.tellInterest(); err != nil {
		return err
	}
	if err := l.confirm(ctx); err != nil {
		return err
	}
	return l.sayBeat()
}

// round does all that is due.
func (l *link) round(ctx context.Context, beat bool) error {
	if !l.joined.Load() {
		if !l.claimed.Load() && time.Now().Before(l.claimEnds) {
			if beat { // the other node may have left meanwhile
				if err := l.claim(); err != nil {
					return err
				}
			}
			return l.flush() // replies to rivals
		}
		if err := l.join(ctx); err != nil {
			return err
		}
	}
	if err := l.tellInterest(); err != nil {
		return err
	}
	if beat {
		if err := l.ping(ping{}); err != nil { // its reply shows that the connection lives
			return err
		}
		if err := l.sayBeat(); err != nil {
			return err
		}
	}
	if err := l.flush(); err != nil {
		return err
	}
	l.attempts = 0
	l.setUp(l.session, true)
	select {
	case <-l.done: // the reader may have put it down before
		l.setUp(l.session, false)
	default:
	}
	return nil
}

// claim asks for the name of this node, which is free if no other process hears that.
func (l *link) claim() error {
	nodes, err := l.publish(l.channels.owner(l.cfg.Node), l.frame(backplane.KindClaim))
	if err == nil && nodes <= 1 {
		l.claimed.Store(true)
		l.poke()
	}
	return err
}

// join makes this node a member.
func (l *link) join(ctx context.Context) error {
	if err := l.subscribe(l.channels.all, l.channels.node(l.cfg.Node)); err != nil {
		return err
	}
	if err := l.confirm(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	l.members.Join(time.Now())
	l.mu.Unlock()
	l.joined.Store(true)
	l.greets = time.AfterFunc(min(l.cfg.Beat, greeting), func() { close(l.greeted) })
	return l.sayBeat()
}

// greeting is how long members may take to reply to the first beat.
const greeting = 100 * time.Millisecond

// sayBeat sends a beat to all.
func (l *link) sayBeat() error {
	l.beats.Add(1)
	_, err := l.publish(l.channels.all, l.frame(backplane.KindBeat))
	return err
}

// leave says goodbye, so that no node waits for this one.
func (l *link) leave() {
	if l.joined.Load() && l.flush() == nil {
		_, _ = l.publish(l.channels.all, l.frame(backplane.KindBye)) // nothing follows from it
	}
}

// publish sends a frame at once, and returns how many subscribers it had.
func (l *link) publish(channel string, f backplane.Frame) (int64, error) {
	data := f.Append(append([]byte(nil), blank[:]...))
	l.seal(data)
	pipe := l.client.Pipeline() // which has a connection of its own in the client
	nodes := pipe.Publish(l.patience, channel, data)
	_, err := pipe.Exec(l.patience)
	return nodes.Val(), err
}

// The bounds of what is sent in one round trip.
const (
	maxBatch      = 1000
	maxBatchBytes = 1 << 20
)

// flush sends what is in the outbox. What was sent in vain is not sent again, since the
// server may have it.
func (l *link) flush() error {
	if l.next == len(l.block.Parcels) {
		l.block, l.next = l.outbox.Take(l.block), 0
	}
	if len(l.block.Parcels) == 0 {
		return nil
	}
	for l.next < len(l.block.Parcels) {
		rest := l.block.Parcels[l.next:]
		if rest[0].Subject == "" {
			l.next++
			l.sent(rest[0].ID)
			continue
		}
		n, bytes := 0, 0
		for n < min(len(rest), maxBatch) && rest[n].Subject != "" && (n == 0 || bytes+len(rest[n].Data()) <= maxBatchBytes) {
			bytes += len(rest[n].Data())
			n++
		}
		l.next += n
		if err := l.sendBatch(rest[:n]); err != nil {
			return err
		}
	}
	l.poke() // there may be more
	return nil
}

// sendBatch sends messages in one round trip. The error is that of the connection.
func (l *link) sendBatch(parcels []backplane.Parcel) error {
	pipe := l.client.Pipeline()
	first := l.seq + 1
	for _, p := range parcels {
		n := l.seal(p.Data())
		if p.ID > directID {
			l.counts.expect(n)
		}
		pipe.Publish(l.patience, p.Subject, p.Data())
	}
	commands, _ := pipe.Exec(l.patience) // each command has its own error
	var failed, refused error
	unsure := 0
	counted := l.counted[:0]
	for i, p := range parcels {
		nodes, err := commands[i].(*goredis.IntCmd).Result()
		var reply goredis.Error
		switch {
		case errors.As(err, &reply):
			refused = err
			unsure++
			l.counts.close(count{number: first + uint64(i)})
		case err != nil:
			failed = err
			unsure++
		case p.ID == directID && nodes == 0:
			l.counters.noNode.Add(1)
			l.complain(&l.logs.noNode, "message for a node that is not there", "channel", p.Subject)
		case p.ID > directID:
			counted = append(counted, count{number: first + uint64(i), delivery: p.ID, nodes: int(nodes)})
		}
	}
	if unsure > 0 {
		l.links.Add(1)
		l.counters.unsure.Add(int64(unsure))
		l.meters.unsure.Add(int64(unsure))
		l.complain(&l.logs.refused, "messages may not have reached other nodes", "messages", unsure, "error", errors.Join(failed, refused))
	}
	if failed != nil {
		return failed
	}
	l.counted = l.settle(counted)
	if len(l.counted) > 0 {
		return l.ping(ping{counts: append([]count(nil), l.counted...)})
	}
	return nil
}

// subscriptions is how many channels one command names: the server handles other
// clients between two of them.
const subscriptions = 500

// tellInterest brings the subscriptions up to date, one batch at a time: what comes
// while one is not confirmed is in the next.
func (l *link) tellInterest() error {
	if l.telling.Load() {
		return nil // the reader wakes the writer
	}
	joins, leaves, upTo := l.interest.Take()
	if upTo == l.told {
		return nil
	}
	for _, part := range []struct {
		topics []string
		call   func(ctx context.Context, channels ...string) error
	}{{joins, l.pubsub.Subscribe}, {leaves, l.pubsub.Unsubscribe}} {
		for from := 0; from < len(part.topics); from += subscriptions {
			some := part.topics[from:min(from+subscriptions, len(part.topics))]
			for i, topic := range some {
				some[i] = l.channels.topic(topic)
			}
			if err := part.call(l.ctx, some...); err != nil {
				return err
			}
		}
	}
	l.told = upTo
	l.telling.Store(true)
	return l.ping(ping{interest: true, upTo: upTo})
}
