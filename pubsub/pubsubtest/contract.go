package pubsubtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// patience is how long a test waits for a message that must come, and moment how
// long for one that must not.
const (
	// A test that passes rarely waits for patience, but always for its moments.
	patience = time.Minute
	moment   = 50 * time.Millisecond
)

// Cluster is the remotes of a cluster of its own, for [TestRemote].
type Cluster struct {
	// Remotes has one for each name, in the order of the names.
	Remotes []pubsub.Remote
	// Cut breaks the connection of a node to all others, as a network does that
	// fails, and Heal repairs it. They return once that is done; the remote may
	// notice later. Both may be nil: then the contract is not tested over a cut.
	Cut, Heal func(name string)
}

// TestRemote holds an implementation of [pubsub.Remote] against its contract.
// newCluster makes a cluster with a remote for each name. Nothing may be left of it
// once the Run of its remotes has returned and the functions of t.Cleanup have run.
func TestRemote(t *testing.T, newCluster func(t *testing.T, names ...string) Cluster) {
	for _, c := range []struct {
		name string
		// Each case has three connected nodes of a cluster of its own, all of
		// which want topic.
		run func(t *testing.T, nodes []*node)
	}{
		{"to_all_others_once", testBroadcast},
		{"every_payload_arrives_as_it_was", testPayloads},
		{"to_one_node", testDirect},
		{"order_of_one_sender", testOrder},
		{"only_topics_that_are_wanted", testInterest},
		{"the_receiver_owns_what_it_gets", testOwnership},
		{"many_goroutines", testConcurrency},
		{"the_end", testEnd},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Three nodes: a sender, a receiver, and one that must not be confused
			// with it.
			nodes, _ := begin(t, newCluster)
			c.run(t, nodes)
		})
	}
	t.Run("a_cut_and_what_follows", func(t *testing.T) {
		nodes, cluster := begin(t, newCluster)
		if cluster.Cut == nil || cluster.Heal == nil {
			t.Log("not tested: the cluster has no Cut and Heal")
			return
		}
		testCut(t, nodes, cluster)
	})
}

// begin makes a cluster of three connected nodes.
func begin(t *testing.T, newCluster func(t *testing.T, names ...string) Cluster) ([]*node, Cluster) {
	names := []string{"a", "b", "c"}
	cluster := newCluster(t, names...)
	nodes := make([]*node, len(names))
	for i, r := range cluster.Remotes {
		if r.Node() != names[i] {
			t.Errorf("node %q, want %q", r.Node(), names[i])
		}
		nodes[i] = newNode(t, r)
	}
	connect(t, nodes)
	return nodes, cluster
}

// testBroadcast checks that a message to all reaches each other node exactly once,
// and not its sender.
func testBroadcast(t *testing.T, nodes []*node) {
	nodes[0].publish("", topic, "one", nil, 2)
	nodes[1].publish("", topic, "two", nil, 2)
	for i, want := range [][]string{{topic + " two false {}"}, {topic + " one false {}"}} {
		nodes[i].expect(want...)
		nodes[i].quiet()
	}
	nodes[2].until("both", func() bool { return len(nodes[2].got) >= 2 }) // in any order
}

// testPayloads checks that payloads, topics and events arrive byte for byte:
// empty, binary, large, and with characters that backplanes use as separators or
// wildcards.
func testPayloads(t *testing.T, nodes []*node) {
	long := strings.Repeat("x", 100_000)
	// Zero bytes, wildcards of NATS and Redis, invalid UTF-8, and more than 100
	// bytes.
	odd := "ünicode \x00*>. \xff" + strings.Repeat("t", 100)
	for _, n := range nodes {
		n.join(odd)
		n.sync()
	}
	var want []string
	for _, payload := range []any{nil, map[string]string{"a": "é\n"}, pubsub.Binary("\x00\xff"), pubsub.Binary(nil), map[string]string{"long": long}} {
		p, err := pubsub.Encode(payload)
		if err != nil {
			t.Fatal(err)
		}
		nodes[0].publish("", odd, "e \x00", payload, 2)
		want = append(want, fmt.Sprint(odd, " e \x00 ", p.Binary, " ", string(p.Data)))
	}
	nodes[1].expect(want...)
	nodes[2].expect(want...)
}

// testDirect checks that a message to a node reaches that node only, also without
// interest in its topic, and that one to an unknown node is lost without an error.
func testDirect(t *testing.T, nodes []*node) {
	nodes[0].publish("b", topic, "yours", nil, 1)
	nodes[0].publish("b", "unwanted", "yours too", nil, 1) // an address is enough
	nodes[1].expect(topic+" yours false {}", "unwanted yours too false {}")
	nodes[0].publish("nowhere", topic, "lost", nil, 0)
	nodes[2].quiet()
}

// testOrder checks that messages of one goroutine arrive in order and without
// gaps.
func testOrder(t *testing.T, nodes []*node) {
	const count = 1000
	var want []string
	for i := range count {
		event := fmt.Sprint("e", i)
		nodes[0].publish("", topic, event, nil, 2)
		want = append(want, topic+" "+event+" false {}")
	}
	nodes[1].expect(want...)
	nodes[2].expect(want...)
}

// testInterest checks that Join and Leave decide what a node receives, in effect
// after Sync. It passes for a remote without interest.
func testInterest(t *testing.T, nodes []*node) {
	// Optional: without it the hub drops what has no subscriber.
	b, ok := nodes[1].Remote.(pubsub.InterestedRemote)
	if !ok {
		return // such a remote sends everything to all nodes
	}
	nodes[0].publish("", "news", "early", nil, 0)
	nodes[0].sync() // what was published before has left the node
	b.Join("news")
	nodes[1].sync()
	nodes[0].publish("", "news", "now", nil, 1)
	nodes[1].expect("news now false {}")
	b.Leave("news")
	nodes[1].sync()
	nodes[0].publish("", "news", "late", nil, 0)
	b.Leave(topic)
	b.Join(topic) // the last one counts
	nodes[1].sync()
	nodes[0].publish("", topic, "still", nil, 2)
	nodes[1].expect(topic + " still false {}")
	nodes[2].expect(topic + " still false {}")
	nodes[1].quiet()
}

// testOwnership checks that the bytes given to one receiver are shared with no
// other: the node's are overwritten.
func testOwnership(t *testing.T, nodes []*node) {
	nodes[0].publish("", topic, "mine", nil, 2)
	nodes[1].until("a message", func() bool { return len(nodes[1].got) == 1 })
	nodes[1].mu.Lock()
	clear(nodes[1].raw[0])
	nodes[1].mu.Unlock()
	nodes[2].expect(topic + " mine false {}")
}

// testConcurrency checks that Publish may be called from many goroutines of all
// nodes at once. The race detector does the rest.
func testConcurrency(t *testing.T, nodes []*node) {
	const senders, each = 4, 100
	var group sync.WaitGroup
	for _, n := range nodes {
		for range senders {
			// One message for all calls: Publish must not change it.
			m := message(t, n.Node(), topic, "e", nil)
			group.Go(func() {
				for range each {
					if _, err := n.Publish(t.Context(), "", m); err != nil {
						t.Errorf("Publish: %v", err)
					}
				}
			})
		}
	}
	group.Wait()
	for _, n := range nodes {
		n.until("all messages", func() bool { return len(n.got) == 2*senders*each })
	}
}

// testEnd checks that Publish respects a context that is done, and that a node
// whose Run has ended receives nothing and disturbs no other. A node's own Receive
// reports what comes after its end.
func testEnd(t *testing.T, nodes []*node) {
	// A remote that does not block need not look at the context.
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := nodes[0].Publish(done, "", message(t, "a", topic, "e", nil)); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Publish with a context that is done: %v, want no error or that of the context", err)
	}
	nodes[1].stop()
	nodes[0].mu.Lock()
	nodes[0].got = nil
	nodes[0].mu.Unlock()
	// One node: the second, whose Run has ended, is not counted.
	nodes[0].publish("", topic, "after", nil, 1)
	nodes[2].until("the message after the end of another node", func() bool {
		return len(nodes[2].got) > 0 && strings.Contains(nodes[2].got[len(nodes[2].got)-1], "after")
	})
}
