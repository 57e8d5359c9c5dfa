package dashboard

import (
	"context"
	"iter"
	"net/http"

	"github.com/penstock-go/penstock/deadletter"
)

// LettersConfig configures [DeadLetters].
type LettersConfig struct {
	// Read returns the letters in the order in which they were written, as
	// [deadletter.ReadFile] does. It is called for each page that is looked at.
	Read func() iter.Seq2[deadletter.Letter, error]
	// Play gives the event of a letter to the pipeline again. It must return soon after ctx
	// is done. Default: letters cannot be played back.
	Play func(ctx context.Context, letter deadletter.Letter) error
}

// serveLetters is not there yet.
func (d *Dashboard) serveLetters(w http.ResponseWriter, _ *http.Request) {
	fail(w, http.StatusNotFound, "there are no letters")
}

// servePlay is not there yet.
func (d *Dashboard) servePlay(w http.ResponseWriter, _ *http.Request) {
	fail(w, http.StatusNotFound, "there are no letters")
}
