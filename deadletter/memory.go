package deadletter

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/penstock-go/penstock/internal/option"
)

// DefaultMemoryMax is how many letters a Memory holds.
const DefaultMemoryMax = 10_000

// MemoryConfig configures [NewMemory]. The zero value is useful.
type MemoryConfig struct {
	// Max is how many letters are held, 1 or more: what would be more is refused.
	// Default: 10,000.
	Max int
}

// Memory is a [Sink] that holds letters in memory, for tests: they are lost with the
// process. All methods may be called from any goroutine.
type Memory struct {
	max     int
	mu      sync.Mutex
	letters []Letter
}

// NewMemory returns an empty sink. An error is an [*OptionError].
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	option.Default(&cfg.Max, DefaultMemoryMax)
	if err := option.Within(option.Owner("deadletter.Memory"), "Max", cfg.Max, 1, math.MaxInt); err != nil {
		return nil, err
	}
	return &Memory{max: cfg.Max}, nil
}

// Write implements [Sink]. A batch that has no room is refused as a whole.
func (m *Memory) Write(_ context.Context, letters []Letter) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.letters); n+len(letters) > m.max {
		return fmt.Errorf("memory holds %d dead letters of at most %d: no room for %d more, from stage %q on", n, m.max, len(letters), letters[0].Stage)
	}
	m.letters = append(m.letters, letters...)
	return nil
}

// Letters returns the letters in the order in which they were written.
func (m *Memory) Letters() []Letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.letters)
}

// Take returns the letters and forgets them, so that there is room for others.
func (m *Memory) Take() []Letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.letters
	m.letters = nil
	return all
}
