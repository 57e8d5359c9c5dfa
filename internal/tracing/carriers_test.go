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
)

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
	check(t, "interfaces", false, []any{1, field{}, nil, field{c}, &behind{c}, (*field)(nil)}, 3, 4)
	check(t, "interfaces with the method", false, []trace.Carrier{field{}, field{c}, nil}, 1)
	if NewCarriers[int]() != nil {
		t.Error("an int is no carrier")
	}
}

func check[T any](t *testing.T, name string, plain bool, events []T, want ...int) {
	t.Helper()
	c := NewCarriers[T]()
	if c.plain != plain {
		t.Errorf("%s: by its flags %v, want %v", name, c.plain, plain)
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
