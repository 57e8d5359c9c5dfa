package nats

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// dialing follows the connections of a session. The client dials again only after it
// has passed on all that came over the connection before: so the dialer can note the
// loss in its place.
type dialing struct {
	mu   sync.Mutex
	open bool // the last dial was a success, and its end is not noted
}

// lost stands for a loss among the messages.
var lost = &natsgo.Msg{Subject: "lost"}

// options are those of the client: the defaults, then what the program has chosen, then
// what the session cannot do without.
func (s *session) options(ctx context.Context) natsgo.Options {
	o := natsgo.GetDefaultOptions()
	o.Name = s.cfg.Node
	o.MaxReconnect = -1
	o.RetryOnFailedConnect = true
	o.CustomReconnectDelayCB = reconnectDelay
	o.PingInterval, o.MaxPingsOut = 2*time.Second, 3
	o.FlusherTimeout = 5 * time.Second
	for url := range strings.SplitSeq(s.cfg.URL, ",") {
		o.Servers = append(o.Servers, strings.TrimSpace(url))
	}
	for _, set := range s.cfg.Options {
		if set != nil {
			if err := set(&o); err != nil {
				s.fail(err)
			}
		}
	}
	o.NoEcho = true
	o.SkipSubjectValidation = true // all subjects are made by this package
	o.ReconnectBufSize = -1        // the outbox is bounded and drops the oldest
	if o.InProcessServer != nil {
		o.InProcessServer = inProcess{s, o.InProcessServer}
	}
	dial := o.CustomDialer
	if dial == nil {
		dial = contextDialer{ctx, &net.Dialer{Timeout: o.Timeout}}
	}
	o.CustomDialer = dialer{s, dial}
	o.ConnectedCB = then(o.ConnectedCB, func(*natsgo.Conn) { s.poke() })
	o.ReconnectedCB = then(o.ReconnectedCB, func(*natsgo.Conn) { s.poke() })
	disconnected := o.DisconnectedErrCB
	o.DisconnectedErrCB = func(c *natsgo.Conn, err error) {
		s.disconnected(c, err)
		if disconnected != nil {
			disconnected(c, err)
		}
	}
	failed := o.AsyncErrorCB
	o.AsyncErrorCB = func(c *natsgo.Conn, sub *natsgo.Subscription, err error) {
		s.asyncError(sub, err)
		if failed != nil {
			failed(c, sub, err)
		}
	}
	o.ClosedCB = then(o.ClosedCB, func(c *natsgo.Conn) {
		err := c.LastError()
		if err == nil {
			err = natsgo.ErrConnectionClosed
		}
		s.fail(err)
		close(s.closed)
	})
	return o
}

// then calls the program's handler and the session's.
func then(first, second natsgo.ConnHandler) natsgo.ConnHandler {
	return func(c *natsgo.Conn) {
		if first != nil {
			first(c)
		}
		second(c)
	}
}

// disconnected runs on the client's goroutine, some time after the connection was
// lost: there may be another one already.
func (s *session) disconnected(c *natsgo.Conn, err error) {
	if c.IsConnected() {
		s.poke()
		return
	}
	s.setUp(s, false)
	select {
	case <-s.ended:
	default:
		if err != nil { // nil at an orderly end
			s.counters.disconnects.Add(1)
			s.complain(&s.logs.connection, "connection lost: other nodes are not reached", "error", err)
		}
	}
}

// asyncError runs on the client's goroutine.
func (s *session) asyncError(sub *natsgo.Subscription, err error) {
	s.counters.errors.Add(1)
	attrs := []any{"error", err}
	if sub != nil {
		attrs = append(attrs, "subject", sub.Subject)
	}
	s.complain(&s.logs.client, "error of the connection", attrs...)
	if errors.Is(err, natsgo.ErrSlowConsumer) {
		s.inbox.Lose() // the pump was too slow; after some of the messages that followed
	}
}

// begin notes that the client dials: the connection before, if any, is over.
func (s *session) begin() {
	s.dialing.mu.Lock()
	open := s.dialing.open
	s.dialing.open = false
	s.dialing.mu.Unlock()
	if !open {
		return
	}
	s.setUp(s, false)
	select {
	case s.arrived <- lost:
	case <-s.ended:
	}
}

// done notes how a dial has ended.
func (s *session) done(err error) {
	if err != nil {
		return
	}
	s.dialing.mu.Lock()
	s.dialing.open = true
	s.dialing.mu.Unlock()
	s.dials.Add(1)
}

// dialer shows the session the dials of the client.
type dialer struct {
	session *session
	dialer  natsgo.CustomDialer
}

// Dial implements natsgo.CustomDialer.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	d.session.begin()
	c, err := d.dialer.Dial(network, address)
	d.session.done(err)
	return c, err
}

// SkipTLSHandshake is that of the program's dialer.
func (d dialer) SkipTLSHandshake() bool {
	s, ok := d.dialer.(interface{ SkipTLSHandshake() bool })
	return ok && s.SkipTLSHandshake()
}

// contextDialer ends a dial when the session ends.
type contextDialer struct {
	ctx    context.Context
	dialer *net.Dialer
}

// Dial implements natsgo.CustomDialer.
func (d contextDialer) Dial(network, address string) (net.Conn, error) {
	return d.dialer.DialContext(d.ctx, network, address)
}

// inProcess is dialer for a server in this process.
type inProcess struct {
	session *session
	server  natsgo.InProcessConnProvider
}

// InProcessConn implements natsgo.InProcessConnProvider.
func (p inProcess) InProcessConn() (net.Conn, error) {
	p.session.begin()
	c, err := p.server.InProcessConn()
	p.session.done(err)
	return c, err
}
