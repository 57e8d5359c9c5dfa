package redis

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// link is two connections: one that subscribes, with a reader of its own, and one that
// publishes. The writer owns it, and ends both when one of them fails.
type link struct {
	*session
	client goredis.UniversalClient
	ctx    context.Context // of the calls of pubsub
	pubsub *goredis.PubSub
	open   atomic.Bool   // there was a connection: the client must not make another one
	done   chan struct{} // closed when the reader has ended
	err    error         // why it has; read after done
	counts counts

	telling atomic.Bool // a batch of interest is not confirmed

	// The writer's.
	told      uint64 // calls of Join and Leave
	claimEnds time.Time
	counted   []count // storage

	// pinging guards what follows and is a leaf. It has a name of its own since the session's mu
	// is the link's as well.
	pinging  sync.Mutex
	lastPing uint64
	pings    map[uint64]ping
}

// ping is what is known once the server has replied to a ping on the link: it has
// handled all that came before.
type ping struct {
	interest bool          // the batch of interest up to upTo is in effect
	upTo     uint64        //
	counts   []count       // the node's own copies of these have arrived, if there are any
	done     chan struct{} // to be closed, or nil
}

// openLink connects. No channel is subscribed to yet.
func (s *session) openLink() (*link, error) {
	s.interest.Forget()
	l := &link{session: s, done: make(chan struct{}), pings: make(map[uint64]ping)}
	l.counts.open = make(map[uint64]bool)
	l.ctx = context.WithValue(s.patience, linkKey{}, l)
	l.client = goredis.NewUniversalClient(s.options)
	l.pubsub = l.client.Subscribe(l.ctx)
	if err := l.ping(ping{}); err != nil {
		_, _ = l.pubsub.Close(), l.client.Close()
		return nil, err
	}
	l.open.Store(true)
	go l.read()
	return l, nil
}

// close ends the connections and waits for the reader.
func (l *link) close() {
	l.setUp(l.session, false)
	_, _ = l.pubsub.Close(), l.client.Close()
	<-l.done
}

// subscribe subscribes to channels that are no topics.
func (l *link) subscribe(channels ...string) error {
	return l.pubsub.Subscribe(l.ctx, channels...)
}

// ping sends a ping.
func (l *link) ping(p ping) error {
	l.pinging.Lock()
	l.lastPing++
	number := l.lastPing
	l.pings[number] = p
	l.pinging.Unlock()
	return l.pubsub.Ping(l.ctx, strconv.FormatUint(number, 36))
}

// confirm waits until the server has handled what was sent over the link.
func (l *link) confirm(ctx context.Context) error {
	p := ping{done: make(chan struct{})}
	if err := l.ping(p); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-l.done: // also after silence
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read moves what arrives to the inbox until the connection ends, and notes the loss
// after it.
func (l *link) read() {
	defer close(l.done)
	silence := time.Duration(0) // without end
	if l.options.ReadTimeout > 0 {
		silence = l.options.ReadTimeout + 2*l.cfg.Beat
	}
	for {
		m, err := l.pubsub.ReceiveTimeout(l.ctx, silence)
		if err != nil {
			l.err = err
			break
		}
		switch m := m.(type) {
		case *goredis.Pong:
			l.pong(m.Payload)
		case *goredis.Message:
			l.take(message{m.Channel, m.Payload})
		}
	}
	l.setUp(l.session, false)
	if l.joined.Load() {
		l.counters.disconnects.Add(1)
		l.inbox.Lose()
	}
}

// envelope is about what a message takes besides its bytes.
const envelope = 128

// take checks the header of a message, and drops what this node has sent.
func (l *link) take(m message) {
	switch {
	case len(m.data) < 1, m.data[0] == headerVersion && len(m.data) < headerSize:
		l.counters.malformed.Add(1)
		l.complain(&l.logs.malformed, "message dropped: it is too short", "channel", m.channel)
	case m.data[0] != headerVersion:
		l.counters.versions.Add(1)
		l.complain(&l.logs.versions, "message dropped: this node does not know its version", "version", m.data[0])
	case m.sender() == l.session.sender:
		l.counts.echo(m.number())
	case !l.inbox.Add(m, len(m.data)+len(m.channel)+envelope):
		l.meters.droppedIn.Add(1)
		l.complain(&l.logs.inbox, "messages of other nodes dropped: this node is too slow")
	}
}

// pong takes the reply to a ping.
func (l *link) pong(text string) {
	number, err := strconv.ParseUint(text, 36, 64)
	if err != nil {
		return
	}
	l.pinging.Lock()
	p := l.pings[number]
	delete(l.pings, number)
	l.pinging.Unlock()
	if p.interest {
		l.interest.Told(p.upTo)
		l.telling.Store(false)
		l.poke()
	}
	l.conclude(p.counts)
	if p.done != nil {
		close(p.done)
	}
}
