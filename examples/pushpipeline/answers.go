package main

import (
	"crypto/sha256"
	"sync"
	"time"
)

// The bounds of what is remembered about idempotency keys.
const (
	maxIdempotencyKey = 128 // bytes
	maxAnswers        = 10_000
	answerAge         = 10 * time.Minute // after the answer
)

// answerID names a request: the producer that sent it and the key that it chose.
type answerID struct{ producer, key string }

// answers remembers the results of requests with an idempotency key, so that a
// request that is sent again pushes nothing a second time. Any goroutine may use it.
type answers struct {
	mu      sync.Mutex // guards all fields
	entries map[answerID]*entry
	line    []*entry // those that have an answer, oldest first
}

// entry is a request with a key.
type entry struct {
	id   answerID
	body [sha256.Size]byte // its hash
	done chan struct{}     // closed when result is set
	// Written before done is closed, read after it.
	result result
	at     time.Time // when result was set; guarded by answers.mu
}

// newAnswers remembers nothing yet.
func newAnswers() *answers { return &answers{entries: make(map[answerID]*entry)} }

// begin returns the entry of a request. mine reports that the request is the first
// with this key: its caller must call finish. An entry of another body must be
// refused. A nil entry means that too many requests are under way.
func (a *answers) begin(id answerID, body [sha256.Size]byte, now time.Time) (e *entry, mine bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.line) > 0 && (now.Sub(a.line[0].at) > answerAge || len(a.entries) >= maxAnswers) {
		delete(a.entries, a.line[0].id)
		a.line[0] = nil // for the garbage collector
		a.line = a.line[1:]
	}
	if e := a.entries[id]; e != nil {
		return e, false
	}
	if len(a.entries) >= maxAnswers {
		return nil, false
	}
	e = &entry{id: id, body: body, done: make(chan struct{})}
	a.entries[id] = e
	return e, true
}

// finish sets the result of an entry, for all that wait for it. It is remembered only
// if everything was accepted: after a failure the next request tries again.
func (a *answers) finish(e *entry, r result, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e.result, e.at = r, now
	if r.accepted > 0 {
		a.line = append(a.line, e)
	} else {
		delete(a.entries, e.id)
	}
	close(e.done)
}
