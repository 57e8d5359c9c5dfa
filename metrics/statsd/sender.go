package statsd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	cactus "github.com/cactus/go-statsd-client/v5/statsd"
)

const (
	// dialTimeout bounds one attempt to resolve and open.
	dialTimeout = 5 * time.Second
	// firstBackoff and maxBackoff bound the wait between two attempts.
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second
	// holdFor bounds how long values wait for the first connection.
	holdFor = 10 * time.Second
	// resolveAgain bounds the age of a name's address.
	resolveAgain = time.Minute
	// flushTimeout bounds how long the writes of one flush may take.
	flushTimeout = time.Second
	// burst datagrams are sent without a pause of burstPause: a receiver's
	// default socket buffer holds about 90 datagrams of this size.
	burst      = 32
	burstPause = time.Millisecond
	// calm is the time without a failure after which the log reports success:
	// hosts refuse at a limited rate, so seconds in which everything seems to
	// arrive may follow a refusal.
	calm = 5 * time.Second
)

// errTooLong refuses a line that is counted as dropped already; the client ignores
// it.
var errTooLong = errors.New("statsd: line does not fit into a datagram")

// sender packs lines into datagrams and writes them. Only the recorder's goroutine
// uses it; the client's calls to Send come from there.
type sender struct {
	// hard ends every wait: dialling, writing and pausing.
	cfg     Config
	hard    context.Context
	dropped *atomic.Int64

	conn      io.WriteCloser // nil while there is none
	everConn  bool
	byName    bool // the address may change
	born      time.Time
	dialled   time.Time // last success
	nextDial  time.Time
	backoff   time.Duration
	unhook    func() bool // stops hard from closing conn
	complains bool        // the failure was logged
	trouble   time.Time   // the last failure

	// The datagram under way, at most MaxDatagram bytes. A failed write counts all
	// its lines as dropped; nothing is sent twice, since a counter would count
	// twice.
	buf      []byte
	lines    int64 // in buf
	previous int64 // lines of the datagram before, to which a refusal refers
	packets  int   // written in this flush
	failed   int   // not written in this flush
	healthy  bool  // the latest datagram was written
	reported int64 // of dropped

	samples []int64 // scratch for timers
	value   []byte  // scratch for timers
}

// newSender returns a sender without a connection. It does not touch the network:
// the first connect is on the recorder's goroutine.
func newSender(hard context.Context, cfg Config, dropped *atomic.Int64) *sender {
	host, _, _ := net.SplitHostPort(cfg.Address)
	return &sender{
		cfg: cfg, hard: hard, dropped: dropped,
		byName:  cfg.dials || net.ParseIP(host) == nil,
		born:    time.Now(),
		healthy: true,
		buf:     make([]byte, 0, cfg.MaxDatagram),
	}
}

// connect opens the connection if there is none, or a new one if the name
// should be resolved again, at most as often as the back-off allows.
func (s *sender) connect(now time.Time) {
	renew := s.conn != nil && s.byName && now.Sub(s.dialled) >= resolveAgain
	if s.conn != nil && !renew || now.Before(s.nextDial) {
		return
	}
	ctx, cancel := context.WithTimeout(s.hard, dialTimeout)
	defer cancel()
	conn, err := s.cfg.Dial(ctx)
	now = time.Now()
	if err != nil {
		s.backoff = min(max(2*s.backoff, firstBackoff), maxBackoff)
		s.nextDial = now.Add(s.backoff/2 + rand.N(s.backoff/2))
		s.complain(err)
		return
	}
	s.close()
	s.conn, s.everConn, s.dialled, s.backoff, s.previous = conn, true, now, 0, 0
	s.unhook = context.AfterFunc(s.hard, func() { _ = conn.Close() }) // wakes a Write that waits
	// A connection that fails at once is not opened again at once.
	s.nextDial = now.Add(firstBackoff)
}

// mayStillConnect reports whether there has been no connection yet and it is early
// enough to wait for one.
func (s *sender) mayStillConnect(now time.Time) bool {
	return !s.everConn && now.Sub(s.born) < holdFor
}

// begin starts a flush. One deadline is for all its writes: a socket that blocks
// delays the next flush by flushTimeout only.
func (s *sender) begin(now time.Time) {
	s.packets, s.failed = 0, 0
	if d, ok := s.conn.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = d.SetWriteDeadline(now.Add(flushTimeout))
	}
}

// Send adds a line to the datagram under way. It is the client's sender.
func (s *sender) Send(line []byte) (int, error) {
	if len(line) > s.cfg.MaxDatagram {
		s.dropped.Add(1)
		return 0, errTooLong
	}
	if len(s.buf)+1+len(line) > s.cfg.MaxDatagram {
		s.write()
	}
	if len(s.buf) > 0 {
		s.buf = append(s.buf, '\n')
	}
	s.buf = append(s.buf, line...)
	s.lines++
	return len(line), nil
}

// Close does nothing: the client is never closed, see close.
func (s *sender) Close() error { return nil }

// end sends the last datagram of a flush and judges the connection by the whole.
func (s *sender) end() {
	s.write()
	switch {
	case s.failed == 0 && s.packets > 0 && s.complains && time.Since(s.trouble) >= calm:
		s.complains = false
		s.cfg.Logger.Info("metrics are being sent again", "address", s.cfg.Address, "dropped", s.dropped.Load())
	case s.failed > 0 && s.packets == 0 && s.conn != nil:
		// Nothing was sent: the address may have changed.
		s.close()
	}
}

// write sends the datagram under way and counts its lines if that fails.
func (s *sender) write() {
	if s.lines == 0 {
		return
	}
	err := s.writeOnce()
	if errors.Is(err, syscall.ECONNREFUSED) {
		// The host's refusal of the datagram before: this one was not tried.
		s.dropped.Add(s.previous)
		s.previous = 0
		s.complain(err)
		err = s.writeOnce()
	}
	if err != nil {
		s.dropped.Add(s.lines)
		s.failed++
		s.healthy = false
		s.previous = 0
		s.complain(err)
	} else {
		s.packets++
		s.healthy = true
		s.previous = s.lines
	}
	s.buf, s.lines = s.buf[:0], 0
	if s.packets > 0 && s.packets%burst == 0 {
		pause := time.NewTimer(burstPause)
		select {
		case <-pause.C:
		case <-s.hard.Done():
			pause.Stop()
		}
	}
}

// errNoConnection is the failure of a write without a connection. It is not
// logged: what failed in connect was.
var errNoConnection = errors.New("statsd: no connection")

// writeOnce writes the datagram under way. UDP reports a refusal by the other host
// with the next write on the socket.
func (s *sender) writeOnce() error {
	if s.conn == nil {
		return errNoConnection
	}
	if s.hard.Err() != nil {
		return s.hard.Err()
	}
	_, err := s.conn.Write(s.buf)
	return err
}

// reportDropped sends the number of lines dropped since the last report, if the
// server can be reached: a lost report would itself be counted.
func (s *sender) reportDropped(client *cactus.Client) {
	if n := s.dropped.Load() - s.reported; n > 0 && s.conn != nil && s.healthy {
		s.reported += n
		_ = client.Inc("metrics.dropped", n, 1)
	}
}

// complain logs the first failure of a period without success; end logs its end.
func (s *sender) complain(err error) {
	s.trouble = time.Now()
	if s.complains || errors.Is(err, errNoConnection) || s.hard.Err() != nil {
		return
	}
	s.complains = true
	s.cfg.Logger.Warn("metrics cannot be sent", "address", s.cfg.Address, slog.Any("error", err))
}

// close closes the connection, if there is one. connect opens another one with the
// next flush that the back-off allows.
func (s *sender) close() {
	if s.conn != nil {
		s.unhook()
		_ = s.conn.Close()
		s.conn = nil
	}
}
