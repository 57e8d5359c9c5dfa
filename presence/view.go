package presence

// view is what is present in the topics, of all nodes that are up. It is pure: the
// tracker's mutex guards it. Topics and keys without entries are not in it, so
// Count is a length.
type view struct {
	topics map[string]map[string][]*entry // by topic and key, the oldest first
}

// show makes a change visible. A leave copies the list that it shortens: List may
// have returned metas in its order, but never the list.
func (v *view) show(c change) {
	for _, e := range c.leaves {
		keys := v.topics[e.topic]
		list := keys[e.key]
		// By pointer: an entry is in its list once, since a ref never comes twice.
		for i, other := range list {
			if other == e {
				list = append(list[:i:i], list[i+1:]...)
				break
			}
		}
		if keys[e.key] = list; len(list) == 0 {
			delete(keys, e.key)
		}
		if len(keys) == 0 {
			delete(v.topics, e.topic)
		}
	}
	for _, e := range c.joins {
		keys := v.topics[e.topic]
		if keys == nil {
			keys = make(map[string][]*entry)
			v.topics[e.topic] = keys
		}
		keys[e.key] = append(keys[e.key], e)
	}
}

// list returns the presences of a topic in a state of its own, which the caller
// may change.
func (v *view) list(topic string) State {
	s := State{}
	for key, entries := range v.topics[topic] {
		s[key] = Presence{Metas: metasOf(entries)}
	}
	return s
}

// take puts the presences of the first keys into a state, up to the bound of a
// diff, and returns the keys that are left. Keys that are not present any more are
// passed over.
func (v *view) take(to State, topic string, keys []string) (rest []string) {
	bytes := 0
	for i, key := range keys {
		entries := v.topics[topic][key]
		size := 0
		for _, e := range entries {
			size += len(e.meta)
		}
		switch {
		case len(entries) == 0:
			continue
		case len(to) > 0 && bytes+size > diffBytes:
			return keys[i:]
		}
		bytes += size
		to[key] = Presence{Metas: metasOf(entries)}
	}
	return nil
}
