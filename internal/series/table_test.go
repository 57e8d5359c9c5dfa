package series

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type one struct {
	Entry
	name string
}

// get returns the series of that key, and whether it is in the table.
func get(t *Table, key string) (*one, bool) {
	s, ok := t.Get(key, func() Series { return &one{name: key} })
	return s.(*one), ok
}

// seen returns the names that a collection sees, sorted.
func seen(t *Table) (names []string) {
	t.Collect(nil, func(s Series) { names = append(names, s.(*one).name) })
	slices.Sort(names)
	return names
}

func TestASeriesEndsWithItsOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := New(10, time.Minute)
		a, _ := get(table, "a")
		get(table, "b")
		a.End()
		if a.Live() {
			t.Error("live after its end")
		}
		time.Sleep(2 * time.Minute)
		if got := seen(table); len(got) != 2 {
			t.Errorf("the last values were never seen: %v", got)
		}
		if got := seen(table); !slices.Equal(got, []string{"b"}) {
			t.Errorf("%v", got)
		}
		if n, _, removed := table.Counts(); n != 1 || removed != 1 {
			t.Errorf("%d series, %d removed", n, removed)
		}
		// Its next use makes it again.
		if table.Use(a) != Series(a) || !a.Live() || len(seen(table)) != 2 {
			t.Error("not used again")
		}
	})
}

func TestAUseAfterTheEndKeepsTheSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := New(10, time.Minute)
		a, _ := get(table, "a")
		a.End()
		time.Sleep(time.Hour)
		seen(table)
		if table.Use(a) != Series(a) {
			t.Error("another series")
		}
		time.Sleep(time.Hour)
		if seen(table); len(seen(table)) != 1 {
			t.Error("removed")
		}
	})
}

func TestAnotherOfItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := New(10, 0)
		a, _ := get(table, "a")
		a.End()
		seen(table)
		seen(table)
		b, _ := get(table, "a")
		if a == b {
			t.Fatal("it was not removed")
		}
		if table.Use(a) != Series(b) {
			t.Error("a value would be recorded in a series that is not shown")
		}
	})
}

func TestNoMoreThanMax(t *testing.T) {
	table := New(2, time.Minute)
	a, _ := get(table, "a")
	get(table, "b")
	c, ok := get(table, "c")
	if ok || table.Use(c) != nil || table.Use(c) != nil {
		t.Error("a third one has room")
	}
	if _, refused, _ := table.Counts(); refused != 1 {
		t.Errorf("%d refused", refused)
	}
	// The end of another one makes room at once.
	a.End()
	if table.Use(c) != Series(c) || !c.Live() {
		t.Error("no room after an end")
	}
	if table.Use(a) != nil {
		t.Error("a third one has room")
	}
}

// Whatever happens at once, no use is lost while there is room.
func TestUsesAndEndsAtOnce(t *testing.T) {
	table := New(10, 0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			a, _ := get(table, "a")
			for i := range 2000 {
				if !a.Live() && table.Use(a) == nil {
					t.Error("no room")
				}
				if i%7 == 0 {
					a.End()
				}
				if i%13 == 0 {
					seen(table)
				}
			}
		})
	}
	wg.Wait()
	if n, _, _ := table.Counts(); n > 1 {
		t.Errorf("%d series of one key", n)
	}
}
