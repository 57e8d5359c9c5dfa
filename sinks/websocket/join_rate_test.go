package websocket_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestJoinsBeyondTheRateAreRefused at once, and not slowed down: the client learns
// that it must come again, and its other messages go on.
func TestJoinsBeyondTheRateAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		f := begin(setup{
			mount:    websocket.MountConfig{Limits: websocket.Limits{JoinRate: 5}},
			channels: one("room:*", &app{}),
		})
		p := f.connect("1")
		since := time.Now()
		for n := range 8 {
			topic := fmt.Sprintf("room:%d", n)
			if n < 5 {
				p.join(n, topic)
				continue
			}
			p.send(`["%d","%d",%q,"phx_join",{}]`, n, n, topic)
			p.expect(fmt.Sprintf(`["%d","%d",%q,"phx_reply",{"response":{"reason":"too many joins"},"status":"error"}]`, n, n, topic))
		}
		p.send(`["0","9","room:0","e",{}]`)
		p.expect(`["0","9","room:0","phx_reply",{"response":{},"status":"ok"}]`)
		if d := time.Since(since); d > 0 {
			t.Errorf("it took %v", d)
		}
		if n := f.metrics.get("websocket.rejected,reason:join_rate"); n != 3 {
			t.Errorf("%v counted", n)
		}
		pass(time.Second) // as phoenix.js waits before it joins again
		for n := 5; n < 8; n++ {
			p.join(n, fmt.Sprintf("room:%d", n))
		}
	})
}
