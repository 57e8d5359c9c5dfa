package presence

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"

	"github.com/penstock-go/penstock/internal/object"
	"github.com/penstock-go/penstock/pubsub"
)

// Presence is one key of a topic.
type Presence struct {
	// Metas are the key's places, the oldest first. Each is a JSON object that
	// holds what was tracked, phx_ref, and phx_ref_prev after an update.
	Metas []json.RawMessage
	// Extra is what Fetch added.
	Extra map[string]any
}

// MarshalJSON encodes the presence as clients expect it: {"metas": […]} with
// the fields of Extra beside.
func (p Presence) MarshalJSON() ([]byte, error) {
	if len(p.Extra) == 0 {
		return json.Marshal(struct {
			Metas []json.RawMessage `json:"metas"`
		}{p.Metas})
	}
	fields := make(map[string]any, len(p.Extra)+1)
	for k, v := range p.Extra {
		fields[k] = v
	}
	fields["metas"] = p.Metas
	return json.Marshal(fields)
}

// State is a topic's presences by key. Pushed as presence_state it is what
// clients begin with.
type State map[string]Presence

// Diff is a change of a topic: the metas that came and went.
type Diff struct {
	Joins  State `json:"joins"`
	Leaves State `json:"leaves"`
}

// entry is one meta, written by the node that tracks it. It is immutable: an
// update makes a new one. Entries are compared by pointer within a process and by
// ref between nodes.
type entry struct {
	ref, topic, key string
	meta            json.RawMessage // with its refs
}

// newRef returns a ref of 16 characters that no other meta on any node has: 96
// random bits.
func newRef() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// encodeMeta encodes a meta with its refs in front. before is the ref that it
// replaces, "" for none. The meta's own refs, as in one that was taken from Get or
// List or that a client has sent, are left out, however they are written: clients
// tell metas apart by their refs, so each must have exactly one. The error is
// ErrMeta for what is no JSON object, or that of [pubsub.Encode]; nil is an empty
// object.
func encodeMeta(meta any, ref, before string) (json.RawMessage, error) {
	p, err := pubsub.Encode(meta)
	switch {
	case err != nil:
		return nil, err
	case p.Binary:
		return nil, ErrMeta
	}
	var data bytes.Buffer
	if err := json.Compact(&data, p.Data); err != nil {
		return nil, err
	}
	plain := data.Bytes()
	if string(plain) == "null" {
		plain = []byte("{}")
	}
	if plain[0] != '{' {
		return nil, ErrMeta
	}
	plain = withoutRefs(plain)
	out := append(make([]byte, 0, len(plain)+64), `{"phx_ref":"`...)
	out = append(append(out, ref...), '"')
	if before != "" {
		out = append(out, `,"phx_ref_prev":"`...)
		out = append(append(out, before...), '"')
	}
	if len(plain) > len("{}") {
		out = append(out, ',')
	}
	return append(out, plain[1:]...), nil
}

// withoutRefs returns a meta without its refs, as UpdateFunc passes it on.
func withoutRefs(meta json.RawMessage) json.RawMessage {
	return object.Without(meta, "phx_ref", "phx_ref_prev")
}

// change is what becomes visible in the topics, and what no longer is. Leaves
// apply before joins.
type change struct{ joins, leaves []*entry }

// empty reports whether nothing has changed.
func (c change) empty() bool { return len(c.joins) == 0 && len(c.leaves) == 0 }

// merge makes one change of several, which must be in order. An entry that came
// and went again is in neither list, so a client that reloads a page within a
// DiffPeriod causes a leave of the old entry and a join of the new one only. The
// order of first appearance is kept.
func merge(list []change) change {
	if len(list) == 1 {
		return list[0]
	}
	net := make(map[*entry]int) // 1 for a join that remains, -1 for a leave
	var order []*entry
	note := func(entries []*entry, by int) {
		for _, e := range entries {
			if _, known := net[e]; !known {
				order = append(order, e)
			}
			net[e] += by
		}
	}
	for _, c := range list {
		note(c.joins, 1)
		note(c.leaves, -1)
	}
	var all change
	for _, e := range order {
		switch {
		case net[e] > 0:
			all.joins = append(all.joins, e)
		case net[e] < 0:
			all.leaves = append(all.leaves, e)
		}
	}
	return all
}
