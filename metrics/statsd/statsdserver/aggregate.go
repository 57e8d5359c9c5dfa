package statsdserver

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// DefaultMaxSeries is the number of series that an [Aggregate] keeps by default.
const DefaultMaxSeries = 1024

// Aggregate keeps what datagrams report. It is safe for concurrent use.
type Aggregate struct {
	start     time.Time
	maxSeries int

	// mu guards what follows. start is what the timers count from.
	mu        sync.Mutex
	series    map[id]*values
	known     known
	datagrams int64
	lines     int64
	malformed int64
	refused   int64
	removed   int64
	searchAt  time.Duration // no search for series that give way before; start is 0
	changed   chan struct{} // closed when something came; nil without a waiting goroutine
}

// id is the identity of a series; tags are in order.
type id struct {
	kind       Kind
	name, tags string
}

// values is what a series has collected: number, or timer for the kind Timer.
type values struct {
	number float64 // of a counter or gauge
	timer  *timer
	used   time.Duration // the last line, from the aggregate's start
}

// NewAggregate returns an aggregate that keeps up to maxSeries series, or
// [DefaultMaxSeries] of them for 0.
func NewAggregate(maxSeries int) *Aggregate {
	return &Aggregate{
		start:     time.Now(),
		maxSeries: cmp.Or(max(maxSeries, 0), DefaultMaxSeries),
		series:    make(map[id]*values),
	}
}

// Add takes one datagram.
func (a *Aggregate) Add(datagram []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Since(a.start)
	a.datagrams++
	for line := range bytes.SplitSeq(datagram, []byte{'\n'}) {
		if len(line) == 0 {
			continue
		}
		s, isNew, ok := a.known.parse(line)
		if !ok {
			a.malformed++
		} else if a.add(s, now) && isNew {
			a.known.remember(s)
		}
	}
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
}

// add takes one line, and reports whether there is room for its series. The mutex is
// held. A counter's value stands for 1/rate as much.
func (a *Aggregate) add(s sample, now time.Duration) bool {
	key := id{s.kind, s.name, s.tags}
	v := a.series[key]
	if v == nil {
		if len(a.series) >= a.maxSeries && !a.makeRoom(now) {
			a.refused++
			return false
		}
		v = &values{}
		if s.kind == Timer {
			v.timer = newTimer()
		}
		a.series[key] = v
	}
	a.lines++
	v.used = now
	switch {
	case s.kind == Timer:
		v.timer.add(s.value, s.rate, now)
	case s.kind == Counter:
		v.number += s.value / s.rate
	default:
		v.number = s.value
	}
	return true
}

// Snapshot is an aggregate's content at one moment.
type Snapshot struct {
	// Series are in order of name, tags and kind.
	Series []Series
	// Datagrams and Lines count what was taken in.
	Datagrams, Lines int64
	// Malformed counts lines that are none of the protocol's, Refused those of
	// series for which there was no room.
	Malformed, Refused int64
	// Removed counts series that gave way to others.
	Removed int64
}

// Series is one name with one set of tags.
type Series struct {
	Kind Kind
	Name string
	// Tags are key:value,key:value in order of keys.
	Tags string
	// Value is a counter's sum or a gauge's value.
	Value float64
	// Life and Recent describe a timer since the start and over the last ten
	// seconds.
	Life, Recent Summary
}

// Snapshot returns the content as it is now.
func (a *Aggregate) Snapshot() Snapshot {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.snapshot()
}

// snapshot copies the content. The mutex is held.
func (a *Aggregate) snapshot() Snapshot {
	now := time.Since(a.start)
	snap := Snapshot{
		Datagrams: a.datagrams, Lines: a.lines,
		Malformed: a.malformed, Refused: a.refused, Removed: a.removed,
		Series: make([]Series, 0, len(a.series)),
	}
	for key, v := range a.series {
		s := Series{Kind: key.kind, Name: key.name, Tags: key.tags, Value: v.number}
		if v.timer != nil {
			s.Life, s.Recent = v.timer.summaries(now)
		}
		snap.Series = append(snap.Series, s)
	}
	slices.SortFunc(snap.Series, func(a, b Series) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Tags, b.Tags), cmp.Compare(a.Kind, b.Kind))
	})
	return snap
}

// Find returns the series of that name and tags (key:value,key:value in order
// of keys).
func (s Snapshot) Find(name, tags string) (Series, bool) {
	for _, one := range s.Series {
		if one.Name == name && one.Tags == tags {
			return one, true
		}
	}
	return Series{}, false
}

// Wait waits until condition holds for the content, which it looks at now and
// after each datagram, and returns the context's error if that ends first.
func (a *Aggregate) Wait(ctx context.Context, condition func(Snapshot) bool) error {
	for {
		a.mu.Lock()
		snap := a.snapshot()
		// The channel exists before the content is looked at, so no datagram is
		// missed.
		if a.changed == nil {
			a.changed = make(chan struct{})
		}
		changed := a.changed
		a.mu.Unlock()
		if condition(snap) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
