package delivery_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
)

func TestTwoConsumersOfOneEndpoint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{consumers: 2, config: delivery.Config[push]{MaxDemand: 3}})
		var channels []*channeltest.Channel
		users := make([]string, 10)
		for i := range users {
			users[i] = fmt.Sprint(i)
			_, ch := r.join(users[i])
			channels = append(channels, ch)
		}
		first := r.push(users...)
		away := r.push("away", "away2")
		for i, ch := range channels {
			ch.AssertBroadcast("push", payload{N: first + i})
			r.expect(first+i, done)
		}
		for i, user := range []string{"away", "away2"} {
			_, ch := r.join(user)
			ch.AssertBroadcast("push", payload{N: away + i})
			r.expect(away+i, done)
		}
		a, b := r.sockets[0].Snapshot(), r.sockets[1].Snapshot()
		if a.Delivered+b.Delivered != 12 || a.Delivered == 0 || b.Delivered == 0 {
			t.Errorf("delivered %d and %d", a.Delivered, b.Delivered)
		}
	})
}

// Whichever consumer gets the next push of an absent user: there is one grace for all of them.
func TestConsumersShareTheGraceOfAUser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{consumers: 3, config: delivery.Config[push]{Grace: 3 * time.Second}})
		users := slices.Repeat([]string{"1"}, 40)
		first := r.push(users...)
		pass(3*time.Second - 1)
		r.expect(first, "")
		pass(1)
		r.expect(first, slices.Repeat([]string{noSubscriber}, len(users))...)
		// A client that comes has all that follows, and after it there is a grace again.
		client, _ := r.join("1")
		synctest.Wait()
		first = r.push(users...)
		r.expect(first, slices.Repeat([]string{done}, len(users))...)
		client.Close()
		synctest.Wait()
		first = r.push(users...)
		pass(3*time.Second - 1)
		r.expect(first, "")
		r.join("1")
		synctest.Wait()
		r.expect(first, slices.Repeat([]string{done}, len(users))...)
	})
}
