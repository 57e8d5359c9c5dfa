package stagetest

import (
	"errors"
	"fmt"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// Ended is the receipt of an input, as its source gets it.
type Ended struct {
	// Input is the number of the input among those given to the handler, from 0 on.
	Input int
	// Outcome is how it ended, and Reason why it was discarded.
	Outcome receipt.Outcome
	Reason  receipt.Reason
	// Err is the error with which it failed or was discarded, if a handler has named
	// one.
	Err error
}

// String returns the receipt as a short text, such as "0 done" or "1 failed: no user".
func (e Ended) String() string {
	switch {
	case e.Reason != "":
		return fmt.Sprintf("%d %v: %s", e.Input, e.Outcome, e.Reason)
	case e.Err != nil:
		return fmt.Sprintf("%d %v: %v", e.Input, e.Outcome, e.Err)
	}
	return fmt.Sprintf("%d %v", e.Input, e.Outcome)
}

// endOf translates the error of a receipt.
func endOf(input int, err error) Ended {
	e := Ended{Input: input, Err: err}
	var discard *stage.DiscardError
	switch {
	case err == nil:
	case errors.As(err, &discard):
		e.Outcome, e.Reason = receipt.Discarded, discard.Reason
	default:
		e.Outcome = receipt.Failed
	}
	return e
}

// ledger is which inputs wait for the receipts of which emitted events.
type ledger struct {
	inputs  int           // inputs given so far
	events  int           // events emitted so far
	open    map[int][]int // inputs of each event without a receipt
	waiting map[int]*wait // by input
}

// wait is an input with events that have no receipt.
type wait struct {
	events int
	worst  Ended
}

func newLedger() ledger {
	return ledger{open: make(map[int][]int), waiting: make(map[int]*wait)}
}

// emit enters the next event.
func (l *ledger) emit(inputs []int) {
	l.open[l.events] = inputs
	l.events++
	for _, input := range inputs {
		w := l.waiting[input]
		if w == nil {
			w = &wait{worst: Ended{Input: input}}
			l.waiting[input] = w
		}
		w.events++
	}
}

// finish takes receipts of emitted events and returns those of the inputs that waited
// for nothing else. No stage gives two receipts for an event, nor one for an event that
// was not emitted.
func (l *ledger) finish(receipts []stage.Receipt) (ended []Ended, err error) {
	seen := make(map[uint64]bool)
	for _, r := range receipts {
		for seq := range r.Seqs() {
			if _, open := l.open[int(seq)]; !open || seen[seq] {
				return nil, owner.Refuse("Receipts", seq, "the number of an emitted event without a receipt")
			}
			seen[seq] = true
		}
	}
	for _, r := range receipts {
		for seq := range r.Seqs() {
			for _, input := range l.open[int(seq)] {
				w := l.waiting[input]
				if r.Outcome.Worse(w.worst.Outcome) {
					w.worst.Outcome, w.worst.Reason = r.Outcome, r.Reason
				}
				if w.events--; w.events == 0 {
					delete(l.waiting, input)
					ended = append(ended, w.worst)
				}
			}
			delete(l.open, int(seq))
		}
	}
	return ended, nil
}
