package tracing

import (
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/penstock-go/penstock/trace"
)

// Carriers finds the sampled ones among events of type T. Any goroutine may use it.
//
// A call of TraceContext copies a context of 48 bytes, which costs as much as a stage spends on
// an event. So where the method returns a field of the event, which is what its contract wants,
// the byte with the flags is read in its place, and the method is called only if that says
// sampled. NewCarriers finds the field, with a few events of its own. A method may be one that
// returns the field for these only, so it is called for some of the others as well: when it
// returns a sampled context there it is called for each event from then on.
type Carriers[T any] struct {
	read func(*T) trace.Context
	// plain reports that the flags are read. They are at an offset in the event, or in what
	// it points to.
	plain   atomic.Bool
	pointer bool
	at      uintptr
	// passed counts the events that were not sampled by their flags. A goroutine may miss
	// what another adds.
	passed atomic.Uint64
}

// Of the events that are not sampled by their flags, the method is called for the first
// askedFirst and then for one in askedEvery, a power of two.
const (
	askedFirst = 64
	askedEvery = 1024
)

// NewCarriers returns nil if T is no [trace.Carrier], and no slice that [ReadSlices] was called
// for.
func NewCarriers[T any]() *Carriers[T] {
	read := sliceReader[T]()
	if own := trace.Reader[T](); own != nil {
		read = own
	}
	if read == nil {
		return nil
	}
	c := &Carriers[T]{read: read}
	of := reflect.TypeFor[T]()
	if c.pointer = of.Kind() == reflect.Pointer; c.pointer {
		of = of.Elem()
	}
	if _, ok := misread.Load(reflect.TypeFor[T]()); ok {
		return c
	}
	if at, ok := c.field(of); ok {
		c.at = at + unsafe.Offsetof(trace.Context{}.Flags)
		c.plain.Store(true)
	}
	return c
}

// misread has the event types whose method does more than to return a field, as was found out.
var misread sync.Map

// Context returns the context of an event.
func (c *Carriers[T]) Context(event *T) trace.Context { return c.read(event) }

// Sampled returns the context of an event if it is sampled, otherwise zero.
func (c *Carriers[T]) Sampled(event *T) trace.Context {
	if c.Next(unsafe.Slice(event, 1), 0) < 0 {
		return trace.Context{}
	}
	return c.read(event)
}

// Next returns the place of the first sampled event from one on, or -1.
func (c *Carriers[T]) Next(events []T, from int) int {
	for i := from; i < len(events); i++ {
		if c.plain.Load() {
			at := c.flagged(events, i)
			end := at
			if at < 0 {
				end = len(events)
			}
			if hidden := c.ask(events[i:end]); hidden >= 0 {
				return i + hidden
			}
			if i = at; i < 0 {
				return -1
			}
		}
		if x := c.read(&events[i]); x.IsSampled() {
			return i
		}
	}
	return -1
}

// ask calls the method for some of the events that are not sampled by their flags. It returns
// the place of the first that is sampled nevertheless, or -1.
func (c *Carriers[T]) ask(events []T) int {
	if len(events) == 0 {
		return -1
	}
	passed := c.passed.Load()
	end := passed + uint64(len(events))
	c.passed.Store(end)
	for n := passed; ; n++ {
		if n >= askedFirst {
			n |= askedEvery - 1
		}
		if n >= end {
			return -1
		}
		if x := c.read(&events[n-passed]); x.IsSampled() {
			c.plain.Store(false)
			if _, known := misread.LoadOrStore(reflect.TypeFor[T](), true); !known {
				slog.Warn("TraceContext does more than to return a field of the event: it is called for each event from now on, "+
					"earlier spans may be missing", "type", reflect.TypeFor[T]().String())
			}
			return int(n - passed)
		}
	}
}

// flagged returns the place of the first event from one on whose flags say sampled, or -1.
func (c *Carriers[T]) flagged(events []T, from int) int {
	rest := events[from:]
	if c.pointer {
		for i := range rest {
			if p := *(*unsafe.Pointer)(unsafe.Pointer(&rest[i])); p != nil && flagsAt(p, c.at)&trace.Sampled != 0 {
				return from + i
			}
		}
		return -1
	}
	for i := range rest {
		if flagsAt(unsafe.Pointer(&rest[i]), c.at)&trace.Sampled != 0 {
			return from + i
		}
	}
	return -1
}

// flagsAt returns the flags at an offset from p, which is inside of the variable there.
func flagsAt(p unsafe.Pointer, at uintptr) trace.Flags {
	return *(*trace.Flags)(unsafe.Add(p, at))
}
