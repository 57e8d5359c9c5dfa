package pipelinetest

import (
	"context"
	"slices"
	"sync"

	"github.com/penstock-go/penstock/deadletter"
)

// Letters is a [deadletter.Sink] that keeps its letters in memory. The zero value is
// ready. Its methods may be called by any goroutine.
type Letters struct {
	mu      sync.Mutex // guards the fields below
	err     error
	letters []deadletter.Letter
}

// Write implements [deadletter.Sink].
func (l *Letters) Write(_ context.Context, letters []deadletter.Letter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	for _, letter := range letters {
		letter.Event = slices.Clone(letter.Event)
		l.letters = append(l.letters, letter)
	}
	return nil
}

// Fail makes every Write fail with err, until it is called with nil.
func (l *Letters) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// All returns the letters, in order.
func (l *Letters) All() []deadletter.Letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.letters)
}
