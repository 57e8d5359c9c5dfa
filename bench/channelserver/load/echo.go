//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"
)

// echoes are the messages that a loop sends for its clients, each in turn, of which
// the server returns the payload. The loop's mutex guards it.
type echoes struct {
	start   time.Time
	rate    float64 // a second
	sent    int
	total   int
	pad     string
	message []byte // the last one
	frame   []byte
}

// pause is how long the loop may wait for events, in milliseconds.
func (e *echoes) pause() int {
	if e.sent < e.total {
		return 1
	}
	return 50
}

// echo sends what is due. The time in a message is when it is sent, and not when it was
// due: what the client itself is late with does not count. The mutex is held.
func (l *loop) echo() {
	e := &l.echoes
	if e.sent == e.total {
		return
	}
	due := min(e.total, int(time.Since(e.start).Seconds()*e.rate))
	for ; e.sent < due; e.sent++ {
		c := l.clients[e.sent%len(l.clients)]
		seq := e.sent / len(l.clients)
		m := append(e.message[:0], `["1","`...)
		m = strconv.AppendInt(m, int64(seq), 10)
		m = append(append(append(m, `","`...), c.topic...), `","echo",{"ts":`...)
		m = strconv.AppendInt(m, time.Now().UnixNano(), 10)
		m = strconv.AppendInt(append(m, `,"seq":`...), int64(seq), 10)
		e.message = append(append(append(m, `,"pad":"`...), e.pad...), `"}]`...)
		e.frame = appendMasked(e.frame[:0], e.message)
		if err := c.send(e.frame); err != nil {
			l.fail(c, err)
		}
	}
}

// echoed reads the two numbers out of a reply to an echo.
func echoed(m []byte) (ts, seq int64, ok bool) {
	if !bytes.Contains(m, replyEvent) {
		return 0, 0, false
	}
	if ts, _, ok = number(m, stampKey); !ok { // the reply to a heartbeat
		return 0, 0, false
	}
	seq, _, ok = number(m, numberKey)
	return ts, seq, ok
}

// echo lets the clients send in turn, so many each, and waits for the replies. The latency
// is that of the whole way: there, through the handler, and back.
func (b *bench) echo(ctx context.Context, rounds, rate int) (delivered, error) {
	if rate <= 0 {
		return delivered{}, fmt.Errorf("-rate is %d, allowed for echo: 1 or more", rate)
	}
	total := rounds * b.o.conns
	return b.measure(ctx, int64(total), rate, func(context.Context) (posted, error) {
		start := time.Now()
		b.fleet.each(func(l *loop) {
			pad := bytes.Repeat([]byte("x"), b.o.bytes)
			share := float64(len(l.clients)) / float64(b.o.conns)
			l.echoes = echoes{start: start, rate: float64(rate) * share, total: rounds * len(l.clients), pad: string(pad)}
		})
		err := b.fleet.wait(ctx, b.o.quiet, "messages sent", int64(total), func() (n int64) {
			b.fleet.each(func(l *loop) { n += int64(l.echoes.sent) })
			return n
		})
		return posted{Count: int64(total), Micros: time.Since(start).Microseconds()}, err
	})
}
