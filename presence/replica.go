package presence

import "time"

// replica is a copy of what one node tracks. Its methods merge what that node
// sends, with neither lock nor clock. Only that node writes it, so a version
// orders all its changes and nothing can conflict.
type replica struct {
	name string
	// The process of the node that the replica is of, and the last of its changes
	// that is in entries.
	process process
	version uint64
	entries map[string]*entry // by ref
	phase   phase
	// What has come of a message in parts, or nil.
	gathering *gathering
	heard     time.Time // when the last message came
	asked     time.Time // when its state was asked for
	refused   time.Time // when a process was told that it counts as an earlier one
}

// phase is what is known about the life of a node.
type phase uint8

const (
	up   phase = iota // its entries are visible
	down              // silent for DownPeriod: its entries are kept, not visible
	left              // it said goodbye: late messages of that process mean nothing
)

// newReplica returns the empty replica of a process, at version 0.
func newReplica(name string, p process) *replica {
	return &replica{name: name, process: p, entries: make(map[string]*entry)}
}

// all returns the entries, in no order. The list is the caller's.
func (r *replica) all() []*entry {
	list := make([]*entry, 0, len(r.entries))
	for _, e := range r.entries {
		list = append(list, e)
	}
	return list
}

// add makes an entry of what another node has sent. Entries are immutable from
// here on: view, replica and diffs share them.
func (r *replica) add(g gossipEntry) *entry {
	e := &entry{ref: g.Ref, topic: g.Topic, key: g.Key, meta: g.Meta}
	r.entries[g.Ref] = e
	return e
}

// applies reports whether a delta brings the replica forward without a gap. A
// delta may begin before the replica's version, as after a state that was sent
// between two deltas: a ref never comes twice, so what is known already is skipped.
func (r *replica) applies(g *gossip) bool { return g.Since <= r.version && r.version < g.Version }

// apply brings the replica to the version of a delta for which applies is true,
// and returns what has changed. An entry that came and went within the delta is in
// neither list of the change.
func (r *replica) apply(g *gossip) (c change) {
	fresh := make(map[*entry]bool, len(g.Joins))
	for _, j := range g.Joins {
		if r.entries[j.Ref] == nil {
			fresh[r.add(j)] = true
		}
	}
	for _, ref := range g.Leaves {
		e := r.entries[ref]
		if e == nil {
			continue
		}
		delete(r.entries, ref)
		if fresh[e] {
			delete(fresh, e)
		} else {
			c.leaves = append(c.leaves, e)
		}
	}
	for _, j := range g.Joins { // in the sender's order
		if e := r.entries[j.Ref]; fresh[e] {
			c.joins = append(c.joins, e)
			delete(fresh, e)
		}
	}
	r.version = g.Version
	return c
}

// replace makes the replica equal to a state, unless the replica is newer. Entries
// that both have stay the same pointers, so they are in neither list of the
// change.
func (r *replica) replace(g *gossip) (c change) {
	if g.Version < r.version {
		return change{}
	}
	there := make(map[string]bool, len(g.Joins))
	for _, j := range g.Joins {
		there[j.Ref] = true
		if r.entries[j.Ref] == nil {
			c.joins = append(c.joins, r.add(j))
		}
	}
	// What the state does not have has left, in versions that were missed.
	for ref, e := range r.entries {
		if !there[ref] {
			delete(r.entries, ref)
			c.leaves = append(c.leaves, e)
		}
	}
	r.version = g.Version
	return c
}
