package delivery_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
)

// stalled joins n clients that read nothing, each of its own user.
func (r *rig) stalled(n int) (users []string, clients []*channeltest.Client) {
	for i := range n {
		user := fmt.Sprint("user", i)
		c, _ := r.join(user)
		c.Pause()
		users, clients = append(users, user), append(clients, c)
	}
	return users, clients
}

// TestResize: more events come at once, and with fewer none until as many have ended. No time
// passes, so that no event counts as lagging.
func TestResize(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{config: delivery.Config[push]{MaxDemand: 2}})
		users, clients := r.stalled(7)
		resize := func(n int) {
			t.Helper()
			if err := r.sockets[0].Resize(n); err != nil {
				t.Fatal(err)
			}
		}
		inFlight := func(n, size int, delivered int64) {
			t.Helper()
			r.stats(delivery.Snapshot{InFlight: n, MaxDemand: size, Delivered: delivered})
		}
		r.push(users...)
		inFlight(2, 0, 0)
		resize(4)
		inFlight(4, 4, 0)
		resize(4)
		inFlight(4, 4, 0)
		resize(1)
		inFlight(4, 1, 0)
		for i, left := range []int{3, 2, 1, 1} { // the last one makes room for another
			clients[i].Resume()
			inFlight(left, 1, int64(i+1))
		}
		resize(100)
		inFlight(3, 100, 4)
		for _, c := range clients {
			c.Resume()
		}
		inFlight(0, 100, 7)
		// What was asked for before still comes.
		resize(1)
		for _, c := range clients {
			c.Pause()
		}
		r.push(users...)
		inFlight(7, 1, 7)
		for _, c := range clients {
			c.Resume()
		}
		inFlight(0, 1, 14)
	})
}

// TestResizeBeforeTheStart: the size holds from the first delivery on.
func TestResizeBeforeTheStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{resize: 3, config: delivery.Config[push]{MaxDemand: 1}})
		users, _ := r.stalled(5)
		r.push(users...)
		r.stats(delivery.Snapshot{InFlight: 3, MaxDemand: 3})
	})
}

// TestResizeAtOnce: many goroutines resize while events come, and one of them is the last.
func TestResizeAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{config: delivery.Config[push]{MaxDemand: 1}})
		users, clients := r.stalled(9)
		r.push(users...)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for n := range 50 {
					_ = r.sockets[0].Resize(1 + (i+n)%9) // the numbers are allowed
				}
			})
		}
		all.Wait()
		if err := r.sockets[0].Resize(9); err != nil {
			t.Fatal(err)
		}
		r.stats(delivery.Snapshot{InFlight: 9, MaxDemand: 9})
		for _, c := range clients {
			c.Resume()
		}
		r.stats(delivery.Snapshot{MaxDemand: 9, Delivered: 9})
	})
}

// TestResizeIsChecked: a number below 1 changes nothing.
func TestResizeIsChecked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, options{})
		for _, n := range []int{0, -1} {
			refused, ok := errors.AsType[*delivery.OptionError](r.sockets[0].Resize(n))
			if !ok || refused.Option != "MaxDemand" {
				t.Errorf("%d: %v", n, refused)
			}
		}
		r.stats(delivery.Snapshot{})
	})
}
