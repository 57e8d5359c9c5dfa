package statsd

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/metrics"

	cactus "github.com/cactus/go-statsd-client/v5/statsd"
)

const (
	// idleEnd is the time without a use after which a series is removed. A gauge that
	// is not 0 stays, since its value still stands.
	idleEnd = 5 * time.Minute
	// idleFull is that time once there are MaxSeries. It bounds the distinct series that
	// a server sees in a minute to MaxSeries, besides those that their owners have ended.
	idleFull = time.Minute
	// sweepEvery is the time between two looks for idle series.
	sweepEvery = 10 * time.Second
	// searchAgain is the time after which a search for series that give way is repeated
	// when it has found none: it looks at all of them.
	searchAgain = time.Second
)

// line is the part of a series that stays the same. Both are cleaned, so nothing
// in them can end a line of the protocol.
type line struct {
	name string
	tags []cactus.Tag
}

// member is what all kinds of series have. A series that was removed stays with the user
// code that holds it, and is attached again by its next use; if there is another of its
// key by then, it passes its values on to that one.
//
// A use first leaves its value and then looks whether the series is attached. A removal
// first detaches it and then looks whether it holds a value, and attaches it again if so.
// One of the two sees the other, so no value is left in a detached series.
type member struct {
	line
	key      string
	owner    *Recorder
	attached atomic.Bool  // written under owner.mu
	used     atomic.Int64 // when the flush last saw a use, in Unix nanoseconds
	ending   atomic.Bool  // End was called, and no flush has seen it yet
	ended    atomic.Bool  // End was called after the last use
}

func (m *member) base() *member { return m }

// End implements metrics.Ender: the series may be removed once its values were sent.
func (m *member) End() { m.ending.Store(true) }

// saw notes whether a flush has seen a use.
func (m *member) saw(use bool, now time.Time) {
	if use {
		m.used.Store(now.UnixNano())
	}
	if m.ending.Load() {
		m.ending.Store(false)
		m.ended.Store(true)
	} else if use {
		m.ended.Store(false)
	}
}

// series is an instrument as seen by the flush, which runs on the recorder's
// goroutine.
type series interface {
	base() *member
	flush(*Recorder, time.Time)
	// empty reports whether nothing is held that was not sent.
	empty() bool
	// stands reports whether the last value still counts without further uses.
	stands() bool
}

// instrument returns the series of that kind, name and tags, made by create if there is
// none. Beyond MaxSeries it is not attached, and each use of it looks for room again.
func instrument[S series](s *Recorder, kind byte, name string, tags []metrics.Tag, create func() S) S {
	name = cleanPart(name, "unnamed")
	tags = cleanTags(tags)
	key := seriesKey(kind, name, tags)
	s.mu.Lock()
	defer s.unlock()
	if have, ok := s.byKey[key]; ok {
		return have.(S)
	}
	made := create()
	m := made.base()
	m.line = line{name: name, tags: make([]cactus.Tag, len(tags))}
	for i, t := range tags {
		m.tags[i] = cactus.Tag{t.Key, t.Value}
	}
	m.key, m.owner = key, s
	if !s.attach(made) {
		s.figures.Refused++
		s.tooMany(name)
	}
	return made
}

// live returns the attached series of one's key, which is one itself if there was none,
// or nil if there is no room.
func (s *Recorder) live(one series) series {
	s.mu.Lock()
	defer s.unlock()
	if have, ok := s.byKey[one.base().key]; ok {
		return have
	}
	if !s.attach(one) {
		s.tooMany(one.base().name)
		return nil
	}
	return one
}

// attach adds a series and reports whether there was room. The caller holds the lock.
func (s *Recorder) attach(one series) bool {
	now := time.Now()
	if len(s.series) >= s.cfg.MaxSeries && !s.makeRoom(now) {
		return false
	}
	m := one.base()
	m.used.Store(now.UnixNano())
	m.ended.Store(false)
	s.byKey[m.key] = one
	s.series = append(s.series, one)
	m.attached.Store(true)
	return true
}

// detach removes a series from the table unless it holds a value, and reports whether it
// did. The caller holds the lock and removes it from the list.
func (s *Recorder) detach(one series) bool {
	m := one.base()
	m.attached.Store(false)
	if !one.empty() {
		m.attached.Store(true)
		return false
	}
	delete(s.byKey, m.key)
	s.figures.Removed++
	return true
}

// sweep removes what has ended or is idle. The caller holds the lock.
func (s *Recorder) sweep(now time.Time) {
	s.series = slices.DeleteFunc(s.series, func(one series) bool {
		m := one.base()
		idle := now.Sub(time.Unix(0, m.used.Load()))
		over := idle >= idleEnd && !one.stands() || idle >= gaugeEnd && m.ended.Load()
		return over && s.detach(one)
	})
}

// makeRoom removes some of the series that have ended, then of those idle for idleFull,
// the least recently used first, and if there is none, gauges that were not set for
// idleEnd. The caller holds the lock.
func (s *Recorder) makeRoom(now time.Time) bool {
	if now.Before(s.searchAt) {
		return false
	}
	if s.giveWay(now, false) || s.giveWay(now, true) {
		return true
	}
	s.searchAt = now.Add(searchAgain)
	return false
}

// giveWay removes up to a sixteenth of MaxSeries, so that the search is rare. standing
// selects the gauges whose values still stand.
func (s *Recorder) giveWay(now time.Time, standing bool) bool {
	least := now.Add(-idleFull)
	if standing {
		least = now.Add(-idleEnd)
	}
	rank := func(one series) (used int64, may bool) {
		m := one.base()
		switch used = m.used.Load(); {
		case m.ended.Load():
			return 0, !standing
		default:
			return used, used <= least.UnixNano() && one.stands() == standing
		}
	}
	var ages []int64
	for _, one := range s.series {
		if used, may := rank(one); may {
			ages = append(ages, used)
		}
	}
	if len(ages) == 0 {
		return false
	}
	slices.Sort(ages)
	left := min(max(1, s.cfg.MaxSeries/16), len(ages))
	oldest := ages[left-1]
	before := len(s.series)
	s.series = slices.DeleteFunc(s.series, func(one series) bool {
		used, may := rank(one)
		if !may || used > oldest || left == 0 || !s.detach(one) {
			return false
		}
		left--
		return true
	})
	if gone := before - len(s.series); gone > 0 && !s.crowded {
		s.crowded = true
		s.note("series removed to make room, the least recently used first", "MaxSeries", s.cfg.MaxSeries)
	}
	return len(s.series) < before
}

// maxRefusedNames bounds the names that are remembered, and logged, once refused.
const maxRefusedNames = 100

// tooMany notes the name of a series that was refused, the first time. The caller holds
// the lock.
func (s *Recorder) tooMany(name string) {
	if _, known := s.refusedNames[name]; known || len(s.refusedNames) >= maxRefusedNames {
		return
	}
	s.refusedNames[name] = struct{}{}
	s.note("series refused, its values are dropped", "name", name, "MaxSeries", s.cfg.MaxSeries)
}

// warning is a line for the log that was noted under the lock.
type warning struct {
	msg  string
	args []any
}

// note keeps a line for unlock. The caller holds the lock.
func (s *Recorder) note(msg string, args ...any) {
	s.warnings = append(s.warnings, warning{msg, args})
}

// unlock releases the lock and logs what was noted under it. The logger is the program's:
// it may use an instrument, which takes the lock.
func (s *Recorder) unlock() {
	list := s.warnings
	s.warnings = nil
	s.mu.Unlock()
	for _, w := range list {
		s.cfg.Logger.Warn(w.msg, w.args...)
	}
}

// Snapshot holds a recorder's figures at one moment.
type Snapshot struct {
	// Series is how many the recorder keeps.
	Series int `json:"series"`
	// Refused is how often a new instrument found no room for its series because of
	// MaxSeries, and Removed how many series were removed because they had ended or
	// were not used.
	Refused int64 `json:"refused"`
	Removed int64 `json:"removed"`
	// Dropped is the number of lines that could not be sent, as in
	// [Recorder.Dropped].
	Dropped int64 `json:"dropped"`
}

// Snapshot returns the recorder's figures, from any goroutine.
func (s *Recorder) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := s.figures
	snap.Series, snap.Dropped = len(s.series), s.dropped.Load()
	return snap
}
