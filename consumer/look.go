package consumer

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

const (
	// lookEvery is the time between two looks for workers that do not return.
	lookEvery = time.Second
	// longBusy is how long one attempt runs until it is logged.
	longBusy = time.Minute
	// lookAgain is the time between two lines about the same number of workers.
	lookAgain = time.Minute
)

// lookout reports workers that do not return: in gauges, and in the log.
type lookout struct {
	// mu guards what follows. It is held during a whole look, so that none goes on
	// when the supervisor has ended.
	mu sync.Mutex

	stuck, long metrics.Gauge
	timer       *time.Timer
	over        bool
	seen        held // of the last line
	line        time.Duration
}

// held are the workers that hold on to their goroutine or event at one moment.
type held struct {
	stuck   int           // have lost their event to Timeout and have not returned
	long    int           // run one attempt for longBusy or longer
	longest time.Duration // of these
}

// sight is when a look has first seen an attempt of a task.
type sight struct {
	tries uint64
	at    time.Duration
}

// look returns the workers that do not return at now. An attempt counts from the first look
// that sees it, so that attempts themselves note no time. The caller holds the lock.
func (p *pool[T]) look(now time.Duration) held {
	h := held{stuck: p.stuck}
	for _, t := range p.tasks {
		switch {
		case t.begun == none || t.again && !t.trying: // it is idle, or waits on purpose
			t.sight = sight{}
		case t.sight.tries != t.tries:
			t.sight = sight{tries: t.tries, at: now}
		default:
			if d := now - t.sight.at; d >= longBusy {
				h.long++
				h.longest = max(h.longest, d)
			}
		}
	}
	return h
}

// maxAges bounds SupervisorSnapshot.Ages.
const maxAges = 64

// ages returns how long attempts have run at now that a look has seen, in no order. The
// caller holds the lock.
func (p *pool[T]) ages(now time.Duration) (all []time.Duration) {
	for _, t := range p.tasks {
		if t.begun != none && t.trying && t.sight.tries == t.tries && now > t.sight.at {
			all = append(all, now-t.sight.at)
		}
	}
	return all
}

// longest returns the longest of some ages, at most maxAges, the longest first.
func longest(all []time.Duration) []time.Duration {
	slices.SortFunc(all, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	return all[:min(len(all), maxAges)]
}

// due reports whether h gets a line at now: at once if it is more than in the last line,
// otherwise once a minute.
func (l *lookout) due(h held, now time.Duration) bool {
	if h.stuck+h.long == 0 {
		l.seen = h
		return false
	}
	if h.stuck <= l.seen.stuck && h.long <= l.seen.long && now-l.line < lookAgain {
		return false
	}
	l.seen, l.line = h, now
	return true
}

// lookOut begins to look for workers that do not return.
func (s *Supervisor[T]) lookOut() {
	tag := metrics.Tag{Key: "stage", Value: s.self.Name()}
	l := &s.lookout
	l.stuck = s.cfg.Metrics.Gauge("consumer.stuck_workers", tag)
	l.long = s.cfg.Metrics.Gauge("consumer.long_workers", tag)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(lookEvery, s.look)
}

// look runs on a timer's goroutine.
func (s *Supervisor[T]) look() {
	now, l := s.clock(), &s.lookout
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	s.mu.Lock()
	h := s.pool.look(now)
	s.mu.Unlock()
	l.stuck.Set(float64(h.stuck))
	l.long.Set(float64(h.long))
	l.timer.Reset(lookEvery)
	if l.due(h, now) {
		s.cfg.Logger.Warn("workers do not return", "stage", s.self.Name(),
			"stuck", h.stuck, "long", h.long, "longest", h.longest, "Timeout", s.cfg.Timeout)
	}
}

// lookAway ends the looks and the gauges.
func (s *Supervisor[T]) lookAway() {
	l := &s.lookout
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil || l.over {
		return
	}
	l.over = true
	l.timer.Stop()
	l.stuck.Set(0)
	l.long.Set(0)
	metrics.End(l.stuck, l.long)
}
