package tracing

import (
	"testing"

	"github.com/penstock-go/penstock/trace"
)

type (
	field    struct{ c trace.Context }
	behind   struct{ c trace.Context } // with a method of the pointer
	nested   struct{ in struct{ a, b trace.Context } }
	embedded struct {
		_ int
		field
	}
	indirect struct{ c *trace.Context }
	mapped   struct{ m map[string]trace.Context }
	chosen   struct{ a, b trace.Context }
	needy    struct {
		c    trace.Context
		need *int
	}
	late struct { // reads its header when it is asked
		c      trace.Context
		header string
	}
	recorded struct {
		c   trace.Context
		rec *trace.Context
	}
	forced struct{ c trace.Context }
)

func (e *late) TraceContext() trace.Context {
	if !e.c.IsValid() {
		e.c, _ = trace.Parse(e.header)
	}
	return e.c
}

func (e recorded) TraceContext() trace.Context {
	if e.rec != nil {
		return *e.rec
	}
	return e.c
}

func (e forced) TraceContext() trace.Context {
	if e.c.IsValid() {
		e.c.Flags |= trace.Sampled
	}
	return e.c
}

func (e field) TraceContext() trace.Context    { return e.c }
func (e *behind) TraceContext() trace.Context  { return e.c }
func (e nested) TraceContext() trace.Context   { return e.in.b }
func (e indirect) TraceContext() trace.Context { return *e.c }
func (e mapped) TraceContext() trace.Context   { return e.m["trace"] }
func (e chosen) TraceContext() trace.Context {
	if e.a.IsValid() {
		return e.a
	}
	return e.b
}

func (e needy) TraceContext() trace.Context {
	_ = *e.need
	return e.c
}

var someContext = trace.Context{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Flags: trace.Sampled, State: "a=b"}

// TestCarriers: the sampled events are found whatever TraceContext returns, and those whose
// method returns a field are found by their flags.
func TestCarriers(t *testing.T) {
	misread.Clear()
	c, number := someContext, 1
	unsampled := c
	unsampled.Flags = trace.Random
	invalid := trace.Context{Flags: trace.Sampled}
	check(t, "field", true, []field{{}, {c}, {unsampled}, {invalid}, {c}}, 1, 4)
	check(t, "method of the pointer", true, []behind{{}, {c}, {unsampled}, {invalid}}, 1)
	check(t, "pointers", true, []*field{nil, {}, {c}, {unsampled}, nil}, 2)
	check(t, "pointers with a method of the pointer", true, []*behind{nil, {}, {c}}, 2)
	both, other := nested{}, nested{}
	both.in.a, both.in.b, other.in.a = c, c, c
	check(t, "second of two", true, []nested{{}, both, other}, 1)
	check(t, "embedded", true, []embedded{{}, {field: field{c}}}, 1)
	check(t, "behind a pointer", false, []indirect{{&unsampled}, {&c}}, 1)
	check(t, "in a map", false, []mapped{{}, {map[string]trace.Context{"trace": c}}}, 1)
	check(t, "one of two", false, []chosen{{}, {a: c}, {b: c}, {a: unsampled, b: c}}, 1, 2)
	check(t, "a method that needs more", false, []needy{{need: &number}, {c, &number}}, 1)
	check(t, "parsed when asked", true, []*late{{}, {header: c.String()}, {c: c}, {}}, 1, 2)
	check(t, "in what it points to", true, []recorded{{}, {c: c}, {rec: &c}, {}, {rec: &c}}, 1, 2, 4)
	check(t, "in what it points to, as is known", false, []recorded{{}, {rec: &c}}, 1)
	check(t, "sampled by the method", false, []forced{{}, {unsampled}, {c}}, 1, 2)
	check(t, "interfaces", false, []any{1, field{}, nil, field{c}, &behind{c}, (*field)(nil)}, 3, 4)
	check(t, "interfaces with the method", false, []trace.Carrier{field{}, field{c}, nil}, 1)
	if NewCarriers[int]() != nil {
		t.Error("an int is no carrier")
	}
}

func check[T any](t *testing.T, name string, plain bool, events []T, want ...int) {
	t.Helper()
	c := NewCarriers[T]()
	if c.plain.Load() != plain {
		t.Errorf("%s: by its flags %v, want %v", name, c.plain.Load(), plain)
	}
	for i := c.Next(events, 0); i >= 0; i = c.Next(events, i+1) {
		if len(want) == 0 || i != want[0] || !c.Context(&events[i]).IsSampled() {
			t.Fatalf("%s: found event %d, want %v", name, i, want)
		}
		want = want[1:]
	}
	if len(want) > 0 {
		t.Errorf("%s: not found: %v", name, want)
	}
}

type seldom struct{ recorded }

// TestCarriersThatMislead: a method that returns a field for the first events only is found out
// by one call in so many, and is called for each event from then on.
func TestCarriersThatMislead(t *testing.T) {
	misread.Clear()
	c := NewCarriers[seldom]()
	events := make([]seldom, 3*askedEvery)
	for i := askedFirst; i < len(events); i++ {
		events[i].rec = &someContext
	}
	if i := c.Next(events, 0); i != askedEvery-1 || c.Sampled(&events[0]).IsValid() || c.Sampled(&events[askedFirst]) != someContext {
		t.Errorf("found event %d", i)
	}
	if i := c.Next(events, 0); i != askedFirst {
		t.Errorf("found event %d, then", i)
	}
}

// asked counts its calls.
type asked struct {
	c     trace.Context
	calls *int
}

func (e asked) TraceContext() trace.Context {
	if e.calls != nil {
		*e.calls++
	}
	return e.c
}

// TestCarriersAreSeldomAsked: it is the same number of calls for one event at a time.
func TestCarriersAreSeldomAsked(t *testing.T) {
	calls := 0
	events := make([]asked, 100*askedEvery)
	for i := range events {
		events[i].calls = &calls
	}
	for name, look := range map[string]func(c *Carriers[asked]){
		"all": func(c *Carriers[asked]) { c.Next(events, 0) },
		"one": func(c *Carriers[asked]) {
			for i := range events {
				c.Sampled(&events[i])
			}
		},
	} {
		calls = 0
		look(NewCarriers[asked]())
		if calls != askedFirst+100 {
			t.Errorf("%s: %d calls for %d events", name, calls, len(events))
		}
	}
}
