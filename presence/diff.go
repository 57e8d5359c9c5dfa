package presence

// diffBytes bounds the metas of one presence_diff: a crowd that comes or goes at
// once is told in several. The metas of one key are never divided, since an update
// is a join and a leave of one key.
const diffBytes = 64 << 10

// byTopic divides a change into diffs of one topic each, in the order in which the
// topics come. The states in them are new, so the fields of Fetch may be added.
func (c change) byTopic() (list []*telling) {
	// The entries of a key, on both sides of a diff.
	type slot struct {
		joins, leaves []*entry
		bytes         int
	}
	type place struct{ topic, key string }
	slots := make(map[place]*slot)
	keys := make(map[string][]string) // by topic, in their order
	var topics []string
	// Returns the slot of an entry, which is made and given its place in the order.
	at := func(e *entry) *slot {
		p := place{e.topic, e.key}
		s := slots[p]
		if s == nil {
			s = &slot{}
			slots[p] = s
			if keys[e.topic] == nil {
				topics = append(topics, e.topic)
			}
			keys[e.topic] = append(keys[e.topic], e.key)
		}
		s.bytes += len(e.meta)
		return s
	}
	for _, e := range c.joins {
		s := at(e)
		s.joins = append(s.joins, e)
	}
	for _, e := range c.leaves {
		s := at(e)
		s.leaves = append(s.leaves, e)
	}
	for _, topic := range topics {
		var d *Diff // the present one of this topic; a full one is followed by another
		bytes := 0  // of the metas in it
		for _, key := range keys[topic] {
			s := slots[place{topic, key}]
			if d == nil || bytes+s.bytes > diffBytes {
				d, bytes = &Diff{Joins: State{}, Leaves: State{}}, 0
				list = append(list, &telling{topic: topic, diff: d})
			}
			bytes += s.bytes
			if len(s.joins) > 0 {
				d.Joins[key] = Presence{Metas: metasOf(s.joins)}
			}
			if len(s.leaves) > 0 {
				d.Leaves[key] = Presence{Metas: metasOf(s.leaves)}
			}
		}
	}
	return list
}
