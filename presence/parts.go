package presence

// partBytes bounds the content of one message between trackers: what carries them
// may refuse messages that are much larger, as a broker with a limit of 1 MiB does.
const partBytes = 128 << 10

// maxParts bounds the parts of one message: more of them are malformed.
const maxParts = 1 << 16

// split divides a message into parts of at most limit bytes of content. A presence
// that is larger has a part of its own. A message that is small enough stays whole.
func (g gossip) split(limit int) []gossip {
	head := g
	head.Joins, head.Leaves = nil, nil
	parts, size := []gossip{head}, 0
	// Returns the part to which content of some bytes is added, a new one if the last
	// would be too large with it.
	room := func(bytes int) *gossip {
		if size > 0 && size+bytes > limit {
			parts, size = append(parts, head), 0
		}
		size += bytes
		return &parts[len(parts)-1]
	}
	for _, j := range g.Joins {
		p := room(len(j.Ref) + len(j.Topic) + len(j.Key) + len(j.Meta) + len(`{"ref":"","topic":"","key":"","meta":},`))
		p.Joins = append(p.Joins, j)
	}
	for _, ref := range g.Leaves {
		p := room(len(ref) + len(`"",`))
		p.Leaves = append(p.Leaves, ref)
	}
	if len(parts) > 1 {
		for i := range parts {
			parts[i].Part, parts[i].Parts = i, len(parts)
		}
	}
	return parts
}

// gathering is a message of another node of which some parts have come, in any
// order.
type gathering struct {
	event  string
	number uint64
	of     int
	parts  map[int]*gossip
}

// gather adds a part. It returns the whole message with the last part, and nil
// before that. A part of another message takes the place of what has been gathered:
// the sender has begun anew.
func (r *replica) gather(event string, g *gossip) *gossip {
	if g.Parts == 0 {
		return g
	}
	a := r.gathering
	if a == nil || a.event != event || a.number != g.Number || a.of != g.Parts {
		a = &gathering{event, g.Number, g.Parts, make(map[int]*gossip)}
		r.gathering = a
	}
	a.parts[g.Part] = g
	if len(a.parts) < a.of {
		return nil
	}
	r.gathering = nil
	whole := *g // the head is the same in all parts
	whole.Joins, whole.Leaves = nil, nil
	for i := range a.of {
		whole.Joins = append(whole.Joins, a.parts[i].Joins...)
		whole.Leaves = append(whole.Leaves, a.parts[i].Leaves...)
	}
	return &whole
}
