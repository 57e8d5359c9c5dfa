package presence_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/penstock-go/penstock/presence"
)

// A key is online while it has a place in the topic.
func TestOnline(t *testing.T) {
	tr := newTracker(t, presence.Config{})
	online := func() string {
		return fmt.Sprint(tr.Online("users", "ann"), tr.Online("users", "bob"), tr.Online("rooms", "ann"))
	}
	is(t, online(), "false false false")
	first, leave := owner(t)
	second, leaveToo := owner(t)
	defer leave()
	defer leaveToo()
	for _, tab := range []context.Context{first, second} {
		track(t, tr, tab, "users", "ann", nil)
	}
	is(t, online(), "true false false")
	if n := testing.AllocsPerRun(100, func() { tr.Online("users", "ann") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	tr.UntrackAll(first)
	is(t, online(), "true false false")
	tr.UntrackAll(second)
	is(t, online(), "false false false")
}
