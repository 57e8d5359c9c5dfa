package websocket

import (
	"context"
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// rejection is why a message of a client was refused, with an error reply unless it is
// stale.
type rejection uint8

const (
	rejectedMalformed rejection = iota
	rejectedUnmatched
	rejectedTopic
	rejectedChannels
	rejectedJoin
	rejectedStale
	rejectedHung
	rejectedJoinRate
	rejectedRenew
	rejections // the number of reasons
)

// The reasons as the tag of websocket.rejected, and as the text of the log.
var (
	rejectionTags = [rejections]string{"malformed", "unmatched", "topic", "channels", "join", "stale", "hung", "join_rate", "renew"}
	rejectionText = [rejections]string{
		"message refused: malformed",
		"message refused: unmatched topic",
		"message refused: topic not allowed",
		"join refused: too many channels",
		"join refused by its handler",
		"message ignored: of an earlier join",
		"join refused: too many handlers hang",
		"join refused: too many joins",
		"credentials not renewed",
	}
)

// rejectionCounters makes the counters, one for each reason.
func rejectionCounters(r metrics.Recorder) (c [rejections]metrics.Counter) {
	for i, tag := range rejectionTags {
		c[i] = r.Counter("websocket.rejected", metrics.Tag{Key: "reason", Value: tag})
	}
	return c
}

// rejected counts a message that reaches no handler or was refused by it, and logs a
// sample: see EndpointLimits.LogRate. The topic comes from the client.
func (s *session) rejected(why rejection, topic string, attrs ...any) {
	e := s.endpoint()
	e.rejected[why].Add(1)
	level := slog.LevelWarn
	if why == rejectedStale {
		level = slog.LevelDebug // a client that has just joined again can send it rightly
	}
	// Without a logger nothing is clipped.
	ctx := context.Background()
	if !e.log.Enabled(ctx, level) {
		return
	}
	e.log.Log(ctx, level, rejectionText[why], append([]any{"socket", s.mount.kind.name, "topic", clip(topic)}, attrs...)...)
}

// breachCodes are the close codes of breaches of the protocol.
var breachCodes = []int{1002, 1007, 1008, 1009, 1011, 4429}

// breach counts and logs why a client's connection is closed. The text can be that of
// a serializer of the application, and so hold what the client sent.
func (e *Endpoint) breach(m *mount, b *protocolError) {
	if c := e.breaches[int(b.code)]; c != nil {
		c.Add(1)
	}
	e.log.Warn("connection closed: protocol error", "socket", m.kind.name, "code", int(b.code), "reason", clip(b.text))
}

// holdOff waits for Timeouts.HoldOff before a connection is closed for a message
// that its client may send again after the next connect. It returns early when the
// connection breaks.
func (c *conn) holdOff() {
	d := c.mount.cfg.Timeouts.HoldOff
	if d == NoTimeout || c.isClosing() {
		return
	}
	if c.readUntil(time.Now().Add(d)) != nil {
		return
	}
	// What comes meanwhile is not parsed. A client that goes on sending waits less.
	b := buffer(0)
	defer recycle(b)
	for total := 0; total < maxLinger; {
		n, err := c.nc.Read((*b)[:cap(*b)])
		if total += n; err != nil {
			return // usually the deadline
		}
	}
}

// holdOff is the same for long polling. It returns early when the client leaves.
func (p *poll) holdOff(ctx context.Context) {
	d := p.mount.cfg.Timeouts.HoldOff
	if d == NoTimeout {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
