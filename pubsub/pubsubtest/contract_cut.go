package pubsubtest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// testCut checks that a remote connects again after a cut, with the interest that it
// had, and that it reports the loss: after all that it received before the cut, and
// before anything that was published after it. A remote that knows its reach has none
// meanwhile. Nothing comes twice or out of order,
// and nodes that were not cut off miss nothing.
func testCut(t *testing.T, nodes []*node, cluster Cluster) {
	a, b, c := nodes[0], nodes[1], nodes[2]
	sent := 0
	var handed []string // what c must have
	// During a cut Publish may block until its context ends, which then ends soon.
	publish := func(event string, most time.Duration) {
		limit, cancel := context.WithTimeout(t.Context(), most)
		defer cancel()
		sent++
		name := fmt.Sprint(event, " ", sent)
		// During a cut a publisher may be told that not all have the message.
		if _, err := a.Publish(limit, "", message(t, "a", topic, name, nil)); err == nil {
			handed = append(handed, name)
		}
	}
	publish("before", patience)
	b.until("a message before the cut", func() bool { return b.has("before") })
	b.untilReach(true)
	cluster.Cut("b")
	b.untilReach(false)
	for range 5 {
		publish("during", time.Second)
	}
	cluster.Heal("b")
	b.until("the report of a loss", func() bool { return slices.Contains(b.log, lost) })
	// It may take a while until the topics are in effect again.
	for begin := time.Now(); ; {
		publish("after", time.Second)
		select {
		case <-b.change:
		case <-time.After(moment):
		}
		b.mu.Lock()
		connected := b.has("after")
		b.mu.Unlock()
		if connected {
			break
		}
		if time.Since(begin) > patience {
			t.Fatal("the node that was cut off receives nothing any more")
		}
	}
	publish("last", patience)
	b.until("the last message", func() bool { return b.has("last") })
	c.until("the last message", func() bool { return c.has("last") })
	// It may receive a little earlier than it can publish.
	for begin := time.Now(); ; <-time.After(moment / 10) {
		_, err := b.Publish(t.Context(), "", message(t, "b", topic, "mine", nil))
		if err == nil {
			break
		}
		if time.Since(begin) > patience {
			t.Fatalf("the node that was cut off cannot publish any more: %v", err)
		}
	}
	a.until("a message of the node that was cut off", func() bool { return a.has("mine") })

	for _, n := range nodes {
		n.untilReach(true)
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	checkOrder(t, "the node that was cut off", b.log)
	told, before := slices.Index(b.log, lost), slices.IndexFunc(b.log, func(e string) bool { return strings.HasPrefix(e, "before") })
	after := slices.IndexFunc(b.log, func(e string) bool { return strings.HasPrefix(e, "after") })
	if told < before || told > after {
		t.Errorf("the loss was reported at %d of %q, want it between before and after", told, b.log)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	checkOrder(t, "another node", c.log)
	for _, event := range handed {
		if !slices.Contains(c.log, event) {
			t.Errorf("a node that was not cut off misses %q of %q", event, handed)
		}
	}
}

// checkOrder checks that the numbers of the events of one sender grow.
func checkOrder(t *testing.T, who string, log []string) {
	t.Helper()
	last := 0
	for _, e := range log {
		_, number, ok := strings.Cut(e, " ")
		n, err := strconv.Atoi(number)
		if !ok || err != nil {
			continue
		}
		if n <= last {
			t.Errorf("%s received %q: %q came twice or late", who, log, e)
		}
		last = n
	}
}
