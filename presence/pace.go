package presence

import "time"

const (
	// crowdChanges in one round are a crowd: more are about to come, and are gathered.
	crowdChanges = 4
	// firstWindow and maxWindow bound for how long. Each round of a crowd doubles it.
	firstWindow = 5 * time.Millisecond
	maxWindow   = 25 * time.Millisecond
)

// pace decides for how long changes are gathered before the next round, without a
// DiffPeriod: not at all while they come one by one, longer while they come in crowds. So
// each client of a topic gets few diffs of a crowd, and the diff of one change at once.
// It is pure.
type pace struct {
	window time.Duration // after the round before; 0 is not at all
	over   time.Duration // when that round ended, on any clock
}

// round notes that a round of so many changes has ended.
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
