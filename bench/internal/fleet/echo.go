//go:build linux

package fleet

import "time"

// echoes are the messages that a loop sends for its clients, each in turn, and that the server
// returns. The loop's mutex guards it.
type echoes struct {
	start  time.Time     // of the loop's first turn after Echo, which may come 50 ms later
	rate   float64       // a second
	turn   int           // the next client's
	total  int           // of the turns
	sent   int           // without the turns of clients that have ended
	sentIn time.Duration // from start to the last one

	message, frame []byte // the last ones, whose memory is used again
}

// pause is how long the loop may wait for events, in milliseconds.
func (e *echoes) pause() int {
	if e.turn < e.total {
		return 1
	}
	return 50
}

// echo sends what is due. The time in a message is when it is sent, and not when it was due: what
// the client itself is late with does not count. The mutex is held.
func (l *loop) echo() {
	e := &l.echoes
	if e.turn == e.total {
		return
	}
	if e.start.IsZero() {
		e.start = time.Now()
	}
	due := min(e.total, int(time.Since(e.start).Seconds()*e.rate))
	for ; e.turn < due; e.turn++ {
		c := l.clients[e.turn%len(l.clients)]
		if c.state != joined {
			continue // its descriptor may be that of another client by now
		}
		e.message = l.protocol.Echo(e.message[:0], c, time.Now().UnixNano(), c.sent)
		e.frame = appendMasked(e.frame[:0], opText, e.message)
		c.sent++
		if err := c.Send(e.frame); err != nil {
			l.fail(c, err)
			continue
		}
		e.sent++
	}
	e.sentIn = time.Since(e.start)
}

// Echo begins to let the clients send in turn, so many each, and so many a second together.
func (f *Fleet) Echo(each, rate int) {
	f.each(func(l *loop) {
		share := float64(len(l.clients)) / float64(f.size)
		l.echoes = echoes{rate: float64(rate) * share, total: each * len(l.clients)}
	})
}

// Sent is how many messages the clients have sent since Echo was called.
func (f *Fleet) Sent() (n int64) {
	f.each(func(l *loop) { n += int64(l.echoes.sent) })
	return n
}

// SentIn is how long the slowest loop took to send them.
func (f *Fleet) SentIn() (d time.Duration) {
	f.each(func(l *loop) { d = max(d, l.echoes.sentIn) })
	return d
}
