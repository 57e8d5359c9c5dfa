package presence

import "time"

const (
	// crowdChanges in one round are a crowd: more are about to come, and are gathered.
	crowdChanges = 4
	// firstWindow and maxWindow bound for how long. Each round of a crowd doubles it.
	firstWindow = 5 * time.Millisecond
	maxWindow   = 25 * time.Millisecond
)

// pace decides for how long changes of a topic are gathered before the next round, without
// a DiffPeriod: not at all while they come one by one, longer while they come in crowds. So
// each client of a topic gets few diffs of a crowd, and the diff of one change at once.
// It is pure.
type pace struct {
	window time.Duration // after the round before; 0 is not at all
	over   time.Duration // when that round ended, on any clock
}

// round notes that a round with so many changes has ended.
func (p *pace) round(changes int, now time.Duration) {
	p.over = now
	if changes < crowdChanges {
		p.window = 0
		return
	}
	p.window = min(max(2*p.window, firstWindow), maxWindow)
}

// wait returns how long the next round has to wait. What comes after the window has ended
// does not wait.
func (p *pace) wait(now time.Duration) time.Duration { return max(0, p.over+p.window-now) }

// paces has the pace of each topic with a crowd. It is pure, and nil without one.
type paces map[string]*pace

// wait returns how long what waits in a topic has to wait.
func (p paces) wait(topic string, now time.Duration) time.Duration {
	if one := p[topic]; one != nil {
		return one.wait(now)
	}
	return 0
}

// ofChange returns how long it takes until a part of a change is due.
func (p paces) ofChange(c change, now time.Duration) time.Duration {
	if len(p) == 0 {
		return 0
	}
	least := maxWindow
	for _, e := range c.joins {
		least = min(least, p.wait(e.topic, now))
	}
	for _, e := range c.leaves {
		least = min(least, p.wait(e.topic, now))
	}
	return least
}

// round notes that a round has ended, with the number of changes by topic. A topic without
// any keeps its pace, so that parts of states do not end a crowd. Topics whose crowd has
// been silent for as long as the longest window are forgotten.
func (p *paces) round(changes map[string]int, now time.Duration) {
	for topic, n := range changes {
		one := (*p)[topic]
		if one == nil {
			if n < crowdChanges {
				continue
			}
			if *p == nil {
				*p = make(paces)
			}
			one = &pace{}
			(*p)[topic] = one
		}
		one.round(n, now)
	}
	for topic, one := range *p {
		if one.window == 0 || now > one.over+one.window+maxWindow {
			delete(*p, topic)
		}
	}
}

// divide divides changes by whether their topic is due. Their order is kept.
func divide(list []change, due func(topic string) bool) (now, later []change) {
	pick := func(from []*entry) (now, later []*entry) {
		for _, e := range from {
			if due(e.topic) {
				now = append(now, e)
			} else {
				later = append(later, e)
			}
		}
		return now, later
	}
	for _, c := range list {
		var a, b change
		a.joins, b.joins = pick(c.joins)
		a.leaves, b.leaves = pick(c.leaves)
		if !a.empty() {
			now = append(now, a)
		}
		if !b.empty() {
			later = append(later, b)
		}
	}
	return now, later
}

// countByTopic returns the number of changes in each topic.
func countByTopic(list []change) map[string]int {
	counts, last := make(map[string]int), make(map[string]int)
	note := func(i int, entries []*entry) {
		for _, e := range entries {
			if last[e.topic] != i+1 {
				last[e.topic] = i + 1
				counts[e.topic]++
			}
		}
	}
	for i, c := range list {
		note(i, c.joins)
		note(i, c.leaves)
	}
	return counts
}
