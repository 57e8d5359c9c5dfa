package pubsubtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/penstock-go/penstock/pubsub"
)

// Histories are the history of each node of a cluster, for [TestHistory]. They keep
// the topics "kept:*" and 50 to 500 records of each.
type Histories struct {
	Nodes []pubsub.History
	// Shared is set if positions of one node hold on the others.
	Shared bool
}

// TestHistory holds an implementation of [pubsub.History] against its contract.
// newHistories makes two nodes without records.
func TestHistory(t *testing.T, newHistories func(t *testing.T) Histories) {
	for _, c := range []struct {
		name   string
		shared bool // only for a shared history
		run    func(t *testing.T, h Histories)
	}{
		{"offsets_grow_by_one_for_each_topic", false, testOffsets},
		{"since_a_position", false, testSince},
		{"a_topic_without_records_has_a_position", false, testEmpty},
		{"what_is_not_kept", false, testNotKept},
		{"trimmed", false, testTrimmed},
		{"many_senders", false, testSenders},
		{"a_loss", false, testLoss},
		{"a_message_of_another_node_is_kept_once", true, testForeign},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHistories(t)
			if c.shared && !h.Shared {
				t.Log("not tested: the history is not shared")
				return
			}
			c.run(t, h)
		})
	}
}

// keep appends a message and returns it with its position.
func keep(t *testing.T, h pubsub.History, topic string, n int) (*pubsub.Message, pubsub.Position) {
	t.Helper()
	m := message(t, "a", topic, fmt.Sprint("e", n), map[string]int{"n": n})
	if err := h.Append(t.Context(), m); err != nil {
		t.Errorf("Append: %v", err)
		return m, pubsub.Position{}
	}
	at, kept := m.Position()
	if r, _ := m.Record(); !kept || at.Epoch == "" || r.Offset != at.Offset || r.Event != m.Event || string(r.Data) != string(m.Payload.Data) {
		t.Errorf("kept %v at %+v as %+v", kept, at, r)
	}
	return m, at
}

// since reads a history and returns the numbers of its events.
func since(t *testing.T, h pubsub.History, topic string, after pubsub.Position, want error) (events []string, now pubsub.Position) {
	t.Helper()
	records, now, err := h.Since(t.Context(), topic, after)
	if !errors.Is(err, want) {
		t.Errorf("Since %+v: %v, want %v", after, err, want)
	}
	for i, r := range records {
		if r.Offset != after.Offset+uint64(i)+1 {
			t.Errorf("record %d after %d has offset %d", i, after.Offset, r.Offset)
		}
		if want := fmt.Sprintf(`{"n":%s}`, r.Event[1:]); string(r.Data) != want {
			t.Errorf("%s has %s", r.Event, r.Data)
		}
		events = append(events, r.Event)
	}
	if err == nil && now.Offset != after.Offset+uint64(len(records)) {
		t.Errorf("%d records after %+v, now %+v", len(records), after, now)
	}
	return events, now
}

func testOffsets(t *testing.T, h Histories) {
	for i := 1; i <= 3; i++ {
		for _, topic := range []string{"kept:a", "kept:b *>.\xff", "kept:"} {
			if _, at := keep(t, h.Nodes[0], topic, i); at.Offset != uint64(i) {
				t.Errorf("%q: message %d at %+v", topic, i, at)
			}
		}
	}
}

func testSince(t *testing.T, h Histories) {
	var at [6]pubsub.Position
	for i := 1; i < len(at); i++ {
		_, at[i] = keep(t, h.Nodes[0], "kept:a", i)
	}
	_, now := since(t, h.Nodes[0], "kept:a", pubsub.Position{}, pubsub.ErrEpoch)
	if now != at[5] {
		t.Errorf("now %+v, want %+v", now, at[5])
	}
	at[0].Epoch = at[1].Epoch
	all := []string{"e1", "e2", "e3", "e4", "e5"}
	for i := range at {
		if got, now := since(t, h.Nodes[0], "kept:a", at[i], nil); !slices.Equal(got, all[i:]) || now != at[5] {
			t.Errorf("after %d: %v, now %+v", i, got, now)
		}
	}
	for _, wrong := range []pubsub.Position{{Epoch: "other", Offset: 2}, {Epoch: at[1].Epoch, Offset: 6}} {
		if got, now := since(t, h.Nodes[0], "kept:a", wrong, pubsub.ErrEpoch); got != nil || now != at[5] {
			t.Errorf("after %+v: %v, now %+v", wrong, got, now)
		}
	}
}

// testEmpty checks that a client that joins before the first message can follow.
func testEmpty(t *testing.T, h Histories) {
	_, now := since(t, h.Nodes[0], "kept:a", pubsub.Position{}, pubsub.ErrEpoch)
	if now.Epoch == "" || now.Offset != 0 {
		t.Fatalf("now %+v", now)
	}
	if got, _ := since(t, h.Nodes[0], "kept:a", now, nil); got != nil {
		t.Errorf("%v", got)
	}
	if _, at := keep(t, h.Nodes[0], "kept:a", 1); at != (pubsub.Position{Epoch: now.Epoch, Offset: 1}) {
		t.Errorf("first at %+v, was %+v", at, now)
	}
}

func testNotKept(t *testing.T, h Histories) {
	if !h.Nodes[0].Keeps("kept:a") || h.Nodes[0].Keeps("lost:a") {
		t.Error("Keeps is wrong")
	}
	m := &pubsub.Message{Topic: "lost:a", Event: "e", Payload: pubsub.Payload{Data: []byte("{}")}}
	if err := h.Nodes[0].Append(t.Context(), m); err != nil {
		t.Errorf("Append: %v", err)
	}
	if at, kept := m.Position(); kept {
		t.Errorf("kept at %+v", at)
	}
	since(t, h.Nodes[0], "lost:a", pubsub.Position{}, pubsub.ErrNotKept)
	m = &pubsub.Message{Topic: "kept:a", Event: "e", Payload: pubsub.Payload{Data: []byte("{}"), Binary: true}}
	if err := h.Nodes[0].Append(t.Context(), m); !errors.Is(err, pubsub.ErrNotObject) {
		t.Errorf("binary: %v", err)
	}
	if _, at := keep(t, h.Nodes[0], "kept:a", 1); at.Offset != 1 {
		t.Errorf("after a refused one at %+v", at)
	}
}

func testTrimmed(t *testing.T, h Histories) {
	const most = 500
	_, first := keep(t, h.Nodes[0], "kept:a", 1)
	var near, last pubsub.Position
	for i := 2; i <= most+2; i++ {
		if _, last = keep(t, h.Nodes[0], "kept:a", i); i == most-8 {
			near = last
		}
	}
	if got, now := since(t, h.Nodes[0], "kept:a", first, pubsub.ErrTrimmed); got != nil || now != last {
		t.Errorf("%d records, now %+v", len(got), now)
	}
	if got, _ := since(t, h.Nodes[0], "kept:a", near, nil); len(got) != 10 {
		t.Errorf("%d records of the last 10", len(got))
	}
}

// testSenders checks that messages of many goroutines, on a shared history of two
// nodes, have one order: the same for all that read it, without gaps.
func testSenders(t *testing.T, h Histories) {
	const senders, each = 3, 7
	_, start := since(t, h.Nodes[0], "kept:a", pubsub.Position{}, pubsub.ErrEpoch)
	nodes := h.Nodes[:1]
	if h.Shared {
		nodes = h.Nodes
	}
	var mu sync.Mutex
	sent := make(map[uint64]string)
	var group sync.WaitGroup
	for n, node := range nodes {
		for s := range senders {
			group.Go(func() {
				was := uint64(0)
				for i := range each {
					m, at := keep(t, node, "kept:a", n*10_000+s*100+i)
					mu.Lock()
					if sent[at.Offset] != "" || at.Offset <= was || at.Epoch != start.Epoch {
						t.Errorf("%s at %+v, where %q is, after %d", m.Event, at, sent[at.Offset], was)
					}
					sent[at.Offset] = m.Event
					mu.Unlock()
					was = at.Offset
					// A subscriber that has a message finds it, and all before it.
					if got, _ := since(t, node, "kept:a", start, nil); uint64(len(got)) < at.Offset {
						t.Errorf("%d records at offset %d", len(got), at.Offset)
					}
				}
			})
		}
	}
	group.Wait()
	for _, node := range nodes {
		got, _ := since(t, node, "kept:a", start, nil)
		if len(got) != len(nodes)*senders*each {
			t.Errorf("%d records", len(got))
		}
		for i, event := range got {
			if sent[uint64(i)+1] != event {
				t.Errorf("%s at %d, its sender has %s there", event, i+1, sent[uint64(i)+1])
			}
		}
	}
}

// testLoss checks what positions are worth after messages of other nodes were lost:
// nothing, unless the nodes share the history.
func testLoss(t *testing.T, h Histories) {
	want := pubsub.ErrEpoch
	if h.Shared {
		want = nil
	}
	for _, topic := range []string{"kept:a", ""} {
		_, at := keep(t, h.Nodes[0], "kept:a", 1)
		h.Nodes[0].Lost(topic)
		since(t, h.Nodes[0], "kept:a", at, want)
	}
}

// testForeign checks that a message that another node has kept is not kept again, and
// that its position is the same on both.
func testForeign(t *testing.T, h Histories) {
	a, b := h.Nodes[0], h.Nodes[1]
	_, start := since(t, b, "kept:a", pubsub.Position{}, pubsub.ErrEpoch)
	for i := 1; i <= 3; i++ {
		m, at := keep(t, a, "kept:a", i)
		got, _ := since(t, b, "kept:a", start, nil)
		if len(got) != i {
			t.Errorf("%d records before message %d arrives", len(got), i)
		}
		if err := b.Append(t.Context(), overWire(t, m, at)); err != nil {
			t.Error(err)
		}
	}
	if got, _ := since(t, b, "kept:a", start, nil); !slices.Equal(got, []string{"e1", "e2", "e3"}) {
		t.Errorf("%v", got)
	}
}

// overWire returns m as another node receives it, and checks that its position there
// is at.
func overWire(t *testing.T, m *pubsub.Message, at pubsub.Position) *pubsub.Message {
	t.Helper()
	copied, err := pubsub.Decode(m.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, kept := copied.OriginPosition(); !kept || got != at {
		t.Errorf("arrives at %+v, want %+v", got, at)
	}
	return copied
}
