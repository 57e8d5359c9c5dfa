//go:build !linux

package websocket

import "net"

// loop needs Linux.
type loop struct{}

func (e *Endpoint) newLoops(int) []*loop { return nil }

// loopConn is never made.
type loopConn struct {
	conn
}

func (e *Endpoint) takeOver(net.Conn) (*loopConn, error) { return nil, nil }

func (c *conn) looped() *loopConn { return nil }

func (*loopConn) begin(*mount, admission) *conn { return nil }
func (*loopConn) await()                        {}
func (*loopConn) rouse()                        {}
