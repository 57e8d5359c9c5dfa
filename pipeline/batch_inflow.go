package pipeline

import (
	"github.com/penstock-go/penstock/stage"
)

// inflow is the account of one subscription of a step that gathers: how many events may
// still come, and how many it has. It belongs to the stage's goroutine.
type inflow[T any] struct {
	sub      *stage.Subscription[T]
	max, min int // MaxDemand and MinDemand
	due      int // asked for and not arrived
	held     int // arrived and not finished
	finished []stage.Finished
}

// batchPlace is where an event of a batch has come from, for its receipt.
type batchPlace[T any] struct {
	in       *inflow[T]
	held     stage.Held // at a producer-consumer
	position uint64     // at a consumer
	place    uint64     // among all events of the step
}

// arrived notes that n of the events that were asked for are here.
func (f *inflow[T]) arrived(n int) { f.due, f.held = f.due-n, f.held+n }

// free is how many more events may be asked for, if spare of those that are held do not
// count.
func (f *inflow[T]) free(spare int) int { return f.max - f.due - (f.held - min(f.held, spare)) }

// full reports whether nothing more can come before events that are held are finished.
func (f *inflow[T]) full(spare int) bool { return f.due <= 0 && f.free(spare) <= 0 }

// ask returns how many events to ask for now, and notes them as asked for. As long as more
// than MinDemand are on their way it is nothing.
func (f *inflow[T]) ask(spare int) int {
	n := f.free(spare)
	if n <= 0 || f.due > f.min {
		return 0
	}
	f.due += n
	return n
}

// inflows are the subscriptions of a step. It has one, or several behind Merge.
type inflows[T any] struct {
	list []*inflow[T]
}

// of returns the account of a subscription, a new one if it has none: the stage has asked
// for MaxDemand at its start.
func (fs *inflows[T]) of(sub *stage.Subscription[T]) *inflow[T] {
	for _, f := range fs.list {
		if f.sub == sub {
			return f
		}
	}
	// A new one is rare, and the time to forget those that are over.
	kept := fs.list[:0]
	for _, f := range fs.list {
		if f.held > 0 || f.sub.Err() == nil {
			kept = append(kept, f)
		}
	}
	clear(fs.list[len(kept):])
	info := sub.Info()
	f := &inflow[T]{sub: sub, max: info.MaxDemand, min: info.MinDemand, due: info.MaxDemand}
	fs.list = append(kept, f)
	return f
}
