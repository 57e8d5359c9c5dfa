package deadletter

import "time"

// Past is what is known of an event that has failed before, in an earlier round: it came
// back through a topic of retries, for example.
type Past struct {
	// Round is how often it came back, 1 or more.
	Round int `json:"round"`
	// Attempts is how often it was tried in all earlier rounds, and First when it first
	// failed.
	Attempts int       `json:"attempts"`
	First    time.Time `json:"first"`
	// Source is its position at its first source.
	Source string `json:"source,omitempty"`
}

// Historian is an event that knows its past. Its letter then has it in Past.
type Historian interface {
	// Past returns the event's past; the zero value means that it has none.
	Past() Past
}
