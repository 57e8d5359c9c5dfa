//go:build !unix

package websocket

import (
	"net"
	"syscall"
)

// rawWriter is for systems whose sockets cannot be written to without blocking.
// rawConn returns nil there, so that it is never used.
type rawWriter struct{}

// newRawWriter returns a writer that is never used, since rawConn returns nil.
func newRawWriter() *rawWriter { return &rawWriter{} }

func (*rawWriter) write(syscall.RawConn, []byte) (int, error) { return 0, nil }

// rawConn returns nil: each write then has a goroutine that may block.
func rawConn(net.Conn) syscall.RawConn { return nil }
