package dashboard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/penstock-go/penstock/deadletter"
)

// LettersConfig configures [DeadLetters]. Either Path or Read and Count are set.
type LettersConfig struct {
	// Path is that of a [deadletter.File], whose newest letters are shown. What was added
	// to it is counted at each snapshot.
	Path string
	// Read returns the letters of another sink, in the order in which they were written. It
	// is called for each page that is looked at, one at a time; the first 100,000 letters
	// are read.
	Read func() iter.Seq2[deadletter.Letter, error]
	// Count returns how many letters there are. It is called for each snapshot.
	Count func() int
	// Play gives the event of a letter to the program again, and must return soon after ctx
	// is done. The letter stays where it is; the dashboard plays it once. Default: letters
	// cannot be played back.
	Play func(ctx context.Context, letter deadletter.Letter) error
}

// LettersSnapshot is what the page shows of dead letters before it is asked for them.
type LettersSnapshot struct {
	// Stored is the number of letters.
	Stored int64 `json:"stored"`
	// Playable reports whether they can be played back.
	Playable bool `json:"playable"`
	// Error is why they could not be counted.
	Error string `json:"error,omitempty"`
}

// letters is a part with dead letters.
type letters struct {
	cfg   LettersConfig
	store store
	// stored is the number of letters in the last snapshot.
	stored atomic.Int64

	mu     sync.Mutex // held while letters are read or played back
	played map[string]bool
}

// store is where letters are.
type store interface {
	// count returns how many there are. It is called on one goroutine at a time.
	count() (int64, error)
	// newest calls f with the newest letters that can be read at once, oldest first, until
	// it returns false.
	newest(ctx context.Context, f func(deadletter.Letter) bool) error
}

// DeadLetters shows dead letters, and plays them back if there is a function for it. The
// events in them are shown as they are.
func DeadLetters(name string, cfg LettersConfig) Part {
	l := &letters{cfg: cfg, played: make(map[string]bool)}
	switch {
	case cfg.Path != "" && cfg.Read == nil && cfg.Count == nil:
		l.store = &fileStore{path: cfg.Path}
	case cfg.Path == "" && cfg.Read != nil && cfg.Count != nil:
		l.store = funcStore{cfg.Read, cfg.Count}
	default:
		return Part{err: needs("either the path of a file or both Read and Count")}
	}
	return Part{Kind: "letters", Name: name, letters: l, Snapshot: func(context.Context) any { return l.snapshot() }}
}

func (l *letters) snapshot() LettersSnapshot {
	n, err := l.store.count()
	l.stored.Store(n)
	s := LettersSnapshot{Stored: n, Playable: l.cfg.Play != nil}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

// entry is a letter on a page.
type entry struct {
	// ID names the letter as long as it is there.
	ID string `json:"id"`
	deadletter.Letter
	// Bytes is the size of an event that is too large to be shown, whose beginning is shown
	// as text.
	Bytes int `json:"bytes,omitempty"`
	// Played reports that it was played back from this page.
	Played bool `json:"played,omitempty"`
}

// identify returns an id that depends on nothing but the letter.
func identify(l *deadletter.Letter) string {
	text, err := json.Marshal(l)
	if err != nil {
		text = fmt.Appendf(nil, "%+v", l)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}

// maxEvent bounds the event of a letter on a page.
const maxEvent = 8 << 10

// shown returns a letter as it is shown.
func (l *letters) shown(at deadletter.Letter, id string) entry {
	e := entry{ID: id, Letter: at, Played: l.played[id]}
	if n := len(at.Event); n > maxEvent {
		e.Bytes = n
		e.Event = quote(nil, string(at.Event[:maxEvent]))
	} else if !json.Valid(at.Event) {
		e.Event = quote(nil, string(at.Event))
	}
	return e
}
