package kafka

import (
	"fmt"
	"sync"
)

// seats are the names under which the producers of this process record gauges. Two of them
// may have the same group and the same name of their stage, in pipelines of their own, and
// would set the same gauges by turns.
type seats struct {
	mu    sync.Mutex // guards taken
	taken map[seat]bool
}

// seat is the tags of a producer's gauges.
type seat struct{ group, stage string }

// inProcess are those of all producers.
var inProcess = seats{taken: map[seat]bool{}}

// take returns stage, or if another producer has that, stage with a number from 2 on that
// is free.
func (s *seats) take(group, stage string) (name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = stage
	for n := 2; s.taken[seat{group, name}]; n++ {
		name = fmt.Sprintf("%s-%d", stage, n)
	}
	s.taken[seat{group, name}] = true
	return name
}

// leave gives a name back.
func (s *seats) leave(group, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, seat{group, name})
}
