package statsdserver

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/penstock-go/penstock/internal/option"
)

// receiveBuffer is asked of the system for the socket; the system may give
// less.
const receiveBuffer = 4 << 20

// maxFailures in a row end the reading: some systems report what became of
// other datagrams as errors of a read, but a socket that only fails is broken.
const maxFailures = 1000

// Config configures a [Server].
type Config struct {
	// Address is the UDP host:port. Default 127.0.0.1:0, any free port of the
	// loopback interface.
	Address string
	// MaxSeries bounds the series. Default [DefaultMaxSeries].
	MaxSeries int
}

// Server receives datagrams and keeps what they report in its [Aggregate].
type Server struct {
	*Aggregate
	conn  *net.UDPConn
	close sync.Once
	done  chan struct{}
}

// Listen opens the socket and starts the goroutine that reads it. A refused
// option is an [*statsd.OptionError].
func Listen(cfg Config) (*Server, error) {
	if err := option.AtLeast("statsdserver.Server", "MaxSeries", cfg.MaxSeries, 0); err != nil {
		return nil, err
	}
	addr, err := net.ResolveUDPAddr("udp", cmp.Or(cfg.Address, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("statsd: listen: %w", err)
	}
	conn, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("statsd: listen: %w", err)
	}
	_ = conn.SetReadBuffer(receiveBuffer) // less only means that bursts are lost sooner
	s := &Server{Aggregate: NewAggregate(cfg.MaxSeries), conn: conn, done: make(chan struct{})}
	go s.read()
	return s, nil
}

// Addr is the host:port that the server listens on.
func (s *Server) Addr() string { return s.conn.LocalAddr().String() }

// Close closes the socket and returns when the goroutine has ended. The received
// content stays readable. Close may be called more than once.
func (s *Server) Close() error {
	var err error
	s.close.Do(func() { err = s.conn.Close() })
	<-s.done
	return err
}

// read is the server's goroutine. It ends when the socket is closed or fails only.
func (s *Server) read() {
	defer close(s.done)
	// The largest datagram fits.
	buf := make([]byte, 1<<16)
	for failures := 0; failures < maxFailures; {
		n, _, err := s.conn.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			failures++
		default:
			failures = 0
			s.Add(buf[:n])
		}
	}
}
