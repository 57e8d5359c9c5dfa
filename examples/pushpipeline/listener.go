package main

import "net"

// sendBuffer is how many bytes of a connection's output the kernel may hold.
// The less it holds, the sooner a client that does not read is noticed.
const sendBuffer = 64 << 10

// limitSendBuffer returns l with connections whose send buffer is bounded.
func limitSendBuffer(l net.Listener) net.Listener { return boundedListener{l} }

// boundedListener is a listener whose connections have a send buffer of
// sendBuffer.
type boundedListener struct{ net.Listener }

// Accept implements net.Listener.
func (l boundedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // a larger buffer works as well
	}
	return conn, err
}
