package pipeline

import (
	"cmp"
	"slices"
	"time"
)

// WorkSnapshot is what the workers of a step are doing at one moment. [Pipeline.Snapshot]
// has it as the Handler of the step's stage.
type WorkSnapshot struct {
	// Workers is how many events may be worked on at once, and Busy how many are. Stuck
	// counts attempts that have not returned after their timeout; they are not in Busy.
	// Events that are quick are handled without a worker if there is one of them.
	Workers int `json:"workers"`
	Busy    int `json:"busy"`
	Stuck   int `json:"stuck"`
	// Waiting is how many events wait for a worker, Pausing how many wait for another
	// attempt or for the rate of their key, and Held how many do not count against
	// Window since they pause or wait behind one that does.
	Waiting int `json:"waiting"`
	Pausing int `json:"pausing"`
	Held    int `json:"held"`
	// Unfinished is how many events have no result, those above included, and Done how
	// many results have not been passed on.
	Unfinished int `json:"unfinished"`
	Done       int `json:"done"`
	// Retries and Failures count, since the start, attempts that were repeated and events
	// that have failed for good. DeadLetters is how many of them wait for the sink.
	Retries     int64 `json:"retries"`
	Failures    int64 `json:"failures"`
	DeadLetters int   `json:"dead_letters"`
	// Paused reports that no attempt is begun.
	Paused bool `json:"paused"`
	// Oldest is the age of the event that has waited longest for its result.
	Oldest time.Duration `json:"oldest_ns"`
	// Ages are how long the busy workers have been at what they took last, the longest
	// first, at most 64. Those of Stuck attempts are not among them.
	Ages []time.Duration `json:"ages_ns,omitempty"`
}

// maxAges bounds WorkSnapshot.Ages.
const maxAges = 64

// snapshot returns the figures of the pool.
func (p *pool[J]) snapshot() WorkSnapshot {
	now := p.clock()
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.core
	s := WorkSnapshot{
		Workers: c.rules.workers, Busy: c.running, Stuck: c.crew.stuck,
		Waiting: c.queued, Pausing: len(c.pauses), Held: c.held,
		Unfinished: c.unfinished, Done: c.results.n,
		Retries: p.retries, Failures: p.failures, DeadLetters: c.burying,
		Paused: c.paused,
	}
	if c.first != nil {
		s.Oldest = time.Duration(now - c.first.arrived)
	}
	for _, w := range p.crew {
		if w.busy {
			s.Ages = append(s.Ages, time.Duration(max(0, now-w.begun)))
		}
	}
	slices.SortFunc(s.Ages, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	s.Ages = s.Ages[:min(len(s.Ages), maxAges)]
	return s
}
