package pubsub_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// TestWhatTheTopicsOfManyUsersCost pins the memory of 100,000 topics on three nodes: what
// the hubs and the network in memory have for each, with its subscription and its name.
func TestWhatTheTopicsOfManyUsersCost(t *testing.T) {
	const users, nodes = 100_000, 3
	synctest.Test(t, func(t *testing.T) {
		net := pubsubtest.NewNetwork()
		var hubs []*pubsub.Hub
		var remotes []*pubsubtest.Remote
		for k := range nodes {
			r := net.Remote(fmt.Sprint("node", k))
			h := newHub(t, pubsub.Config{Remote: r})
			pubsubtest.Run(t, h.Run)
			hubs, remotes = append(hubs, h), append(remotes, r)
		}
		synctest.Wait()
		before := heapInUse()
		sub := pubsub.SubscriberFunc(func(*pubsub.Message) bool { return true })
		for n := range users {
			if _, err := hubs[n%nodes].Subscribe(fmt.Sprint("user:", n), sub); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		bytes := (heapInUse() - before) / users
		t.Logf("%d bytes for each topic", bytes)
		if bytes > 600 {
			t.Errorf("a topic takes %d bytes, want 600 at most", bytes)
		}
		for k, r := range remotes {
			if got := r.Topics(); got != hubs[k].Topics() || got < users/nodes {
				t.Errorf("node %d has %d topics and wants %d", k, hubs[k].Topics(), got)
			}
		}
		runtime.KeepAlive(hubs)
	})
}

// heapInUse returns the bytes that are reachable.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// TestAStormOfJoinsIsCoalesced pins that a topic is joined once, whatever its clients do
// while the network takes its time.
func TestAStormOfJoinsIsCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := pickyHub(t, pubsub.Config{})
		held := make(chan struct{})
		p.hold(held)
		subscribe := func(topic string) *pubsub.Subscription {
			s, err := h.Subscribe(topic, pubsub.SubscriberFunc(func(*pubsub.Message) bool { return true }))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		subscribe("first") // its Sync is held up
		if got := p.take(); got != "[+first]" {
			t.Fatalf("told %s", got)
		}
		const users = 1000
		for n := range users {
			topic := fmt.Sprint("user:", n)
			for range 10 { // a connection that flaps
				subscribe(topic).Unsubscribe()
			}
			if n%2 == 0 { // half of them stay, on two devices
				subscribe(topic)
				subscribe(topic)
			}
		}
		if got := p.take(); got != "[]" {
			t.Fatalf("told %s while the network was slow", got)
		}
		close(held)
		got := p.take()
		if joins, leaves := strings.Count(got, "+"), strings.Count(got, "-"); joins != users/2 || leaves != 0 {
			t.Errorf("%d joins and %d leaves, want %d and none", joins, leaves, users/2)
		}
	})
}
