package option

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"
)

func TestErrorHasOneWording(t *testing.T) {
	var handler func()
	for _, tc := range []struct {
		err  error
		want string
	}{
		{Owner("fair").Refuse("Credits", 65, "0 to 64"), "fair: option Credits refused: 65; allowed: 0 to 64"},
		{Owner("kafka").Refuse("Group", "", "a name"), `kafka: option Group refused: ""; allowed: a name`},
		{Owner("kafka").Refuse("Topics", []string{"a b"}, "names"), `kafka: option Topics refused: ["a b"]; allowed: names`},
		{Owner("a").Needs("f", nil, "a function"), "a: option f refused: nil; allowed: a function"},
		{Owner("a").Needs("f", handler, "a function"), "a: option f refused: nil func(); allowed: a function"},
		{Owner("a").Unused("f", func() {}, "b"), "a: option f refused: a func(); allowed: nil, since only b uses it"},
		{Owner("token").Refuse("Secret", Hidden, "32 bytes or more"), "token: option Secret refused: (not shown); allowed: 32 bytes or more"},
		{AtLeast("a", "N", -1, 0), "a: option N refused: -1; allowed: 0 or more"},
		{Within("a", "D", time.Hour, 0, time.Minute), "a: option D refused: 1h0m0s; allowed: 0s to 1m0s"},
		{Within("a", "R", math.NaN(), 0, 1), "a: option R refused: NaN; allowed: 0 to 1"},
	} {
		if tc.err == nil || tc.err.Error() != tc.want {
			t.Errorf("%v, want %s", tc.err, tc.want)
		}
		var refused *Error
		if !errors.As(fmt.Errorf("wrapped: %w", tc.err), &refused) {
			t.Errorf("%v is not an *Error", tc.err)
		}
	}
}

func TestChecksLetThroughWhatIsAllowed(t *testing.T) {
	o := Owner("a")
	err := First(o.Check(true, "b", 1, "2"), o.Needs("f", func() {}, "a function"), o.Needs("n", 0, "a number"),
		AtLeast(o, "N", 0, 0), Within(o, "D", time.Minute, 0, time.Minute), Within(o, "D", 0, 0, time.Minute))
	if err != nil {
		t.Error(err)
	}
}

func TestFirstIsTheFirst(t *testing.T) {
	one, two := errors.New("one"), errors.New("two")
	if err := First(nil, one, two); err != one {
		t.Error(err)
	}
}

func TestDefaultFillsInZeroOnly(t *testing.T) {
	n, d := 0, time.Second
	Default(&n, 5)
	Default(&d, time.Minute)
	if n != 5 || d != time.Second {
		t.Error(n, d)
	}
}

func TestMustPanicsWithTheError(t *testing.T) {
	if Must(1, nil) != 1 {
		t.Error("value lost")
	}
	want := errors.New("no")
	defer func() {
		if got := recover(); got != want {
			t.Errorf("panic %v", got)
		}
	}()
	Must(1, want)
}
