package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// source holds pushes until the pipeline asks for them.
type source interface {
	// prepare waits until the source can be used, or ctx is done: then it returns an
	// error. It is called once, before the pipeline runs.
	prepare(ctx context.Context) error
	// ready returns why nothing can be taken in at the moment, or nil.
	ready() error
	// handler is the producer of the pipeline's first stage.
	handler() stage.Producer[push]
	// enter takes in all of pushes, or none of them and returns an error. It does
	// not wait, and does not keep the slice. done is called once for each push that was taken in, with nil
	// when a crash cannot lose it any more, otherwise with what went wrong. It is
	// called from any goroutine and must not block.
	enter(pushes []push, done func(error)) error
	// capacity returns how many pushes can be taken in at once at most.
	capacity() int
	// crowded reports whether the source will soon wait for p before it goes on with the
	// pushes of others.
	crowded(p push) bool
	// ended is called once for each push that the pipeline has finished with.
	ended(p push)
	// account returns the number of pushes that were taken in and, of those, the
	// number that wait in the source. emitted is how many have reached the pipeline.
	account(emitted int64) (enqueued int64, waiting int)
	// backlog returns the number of pushes that wait where other processes can take
	// them. They are not taken in yet.
	backlog() int
	// refuse takes in nothing more. It returns when everything that was taken in
	// has reached the pipeline, or ctx is done.
	refuse(ctx context.Context) error
	// close frees what the source holds, after the pipeline has ended.
	close()
}

var (
	// errClosing is for pushes that come at the end, or before the beginning.
	errClosing = errors.New("the pipeline is not running: it starts or shuts down")
	// errAway is for pushes while no broker responds.
	errAway = errors.New("the broker does not respond")
	// errUnread is for the readiness while a broker responds and nothing can be read.
	errUnread = errors.New("pushes cannot be read from Kafka; the log has the reason")
)

// sequencer numbers the pushes of each user and keeps that order until the
// pushes are where they wait.
type sequencer struct {
	mu     sync.Mutex // guards all fields; held until the pushes have entered
	name   string     // of this process
	begun  int        // how often the numbers have begun anew
	origin string     // of name and begun
	last   map[string]uint64
}

// maxNumbered bounds the users whose last number is remembered.
const maxNumbered = 100_000

// newSequencer returns a sequencer whose numbers begin at 1 for every user.
func newSequencer(name string) *sequencer {
	return &sequencer{name: name, origin: name, last: make(map[string]uint64)}
}

// stamp numbers pushes. The caller holds the lock until they have entered. A
// push that brings a time along keeps it. When too many users are remembered, all
// numbers begin at 1 again, under another origin.
func (s *sequencer) stamp(pushes []push, now time.Time) {
	if len(s.last) > maxNumbered {
		s.begun++
		s.origin, s.last = s.name+"-"+strconv.Itoa(s.begun), make(map[string]uint64)
	}
	for i := range pushes {
		p := &pushes[i]
		s.last[p.User]++
		p.Seq, p.Origin = s.last[p.User], s.origin
		if p.At.IsZero() {
			p.At = now
		}
	}
}
