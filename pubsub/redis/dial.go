package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	goredis "github.com/redis/go-redis/v9"
)

// errEnded refuses a second connection to a link: the client would subscribe again by
// itself, and the loss between would have no place among the messages.
var errEnded = errors.New("redis: connection lost")

// linkKey is the key of a link in the context of its calls.
type linkKey struct{}

// clientOptions are those of the client with a dialer whose connections end with the
// session.
func (s *session) clientOptions() *goredis.UniversalOptions {
	o := s.cfg.clientOptions()
	dial := o.Dialer
	if dial == nil {
		plain := &net.Dialer{Timeout: o.DialTimeout}
		dial = plain.DialContext
		if o.TLSConfig != nil {
			dial = (&tls.Dialer{NetDialer: plain, Config: o.TLSConfig}).DialContext
		}
	}
	o.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		if l, ok := ctx.Value(linkKey{}).(*link); ok && l.open.Load() {
			return nil, errEnded
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.patience, cancel)()
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &conn{c, context.AfterFunc(s.patience, func() { _ = c.Close() })}, nil
	}
	return o
}

// conn is a connection that ends with the session, whatever call stands in it.
type conn struct {
	net.Conn
	forget func() bool
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.forget()
	return c.Conn.Close()
}
