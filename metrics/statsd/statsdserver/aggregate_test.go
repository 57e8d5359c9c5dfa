package statsdserver

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func find(t *testing.T, a *Aggregate, name, tags string) Series {
	t.Helper()
	s, ok := a.Snapshot().Find(name, tags)
	if !ok {
		t.Fatalf("no series %s %s in %+v", name, tags, a.Snapshot())
	}
	return s
}

func TestAggregateAddsUp(t *testing.T) {
	a := NewAggregate(0)
	a.Add([]byte("hits:1|c|#k:a\nhits:2|c|#k:a\nhits:4|c|@0.5\n\nlevel:5|g\nlevel:-2|g\nlevel:+1|g\nbroken\n"))
	if got := find(t, a, "hits", "k:a").Value; got != 3 {
		t.Errorf("tagged hits are %v, want 3", got)
	}
	if got := find(t, a, "hits", "").Value; got != 8 {
		t.Errorf("sampled hits are %v, want 8", got)
	}
	if got := find(t, a, "level", "").Value; got != 1 {
		t.Errorf("level is %v, want 1", got)
	}
	snap := a.Snapshot()
	if snap.Datagrams != 1 || snap.Lines != 6 || snap.Malformed != 1 || snap.Refused != 0 {
		t.Errorf("counts are %+v", snap)
	}
}

func TestTimerQuantiles(t *testing.T) {
	a := NewAggregate(0)
	for i := range 1000 {
		a.Add(fmt.Appendf(nil, "took:%d|ms", i+1))
	}
	s := find(t, a, "took", "").Life
	within := func(name string, got, want time.Duration) {
		if d := (got - want).Abs(); d > want/50 {
			t.Errorf("%s is %v, want about %v", name, got, want)
		}
	}
	within("p50", s.P50, 500*time.Millisecond)
	within("p90", s.P90, 900*time.Millisecond)
	within("p99", s.P99, 990*time.Millisecond)
	within("mean", s.Mean, 500*time.Millisecond)
	if s.Count != 1000 || s.Max != time.Second {
		t.Errorf("count %d and maximum %v, want 1000 and 1s", s.Count, s.Max)
	}
}

func TestTimerKeepsFractionsAndClamps(t *testing.T) {
	a := NewAggregate(0)
	a.Add([]byte("fast:0.0355|ms\nnegative:-5|ms\nhuge:1e300|ms"))
	if got := find(t, a, "fast", "").Life.Max; got != 35500*time.Nanosecond {
		t.Errorf("maximum is %v, want 35.5µs", got)
	}
	if got := find(t, a, "negative", "").Life; got.Count != 1 || got.Max != 0 {
		t.Errorf("a negative observation became %+v", got)
	}
	if got := find(t, a, "huge", "").Life.Max; got != time.Hour {
		t.Errorf("a huge observation became %v, want 1h", got)
	}
}

func TestTimerRatesAddUp(t *testing.T) {
	a := NewAggregate(0)
	for range 800 {
		a.Add([]byte("took:1|ms|@0.8")) // 1.25 each
	}
	if got := find(t, a, "took", "").Life.Count; got != 1000 {
		t.Errorf("800 lines of rate 0.8 count %d, want 1000", got)
	}
}

func TestRecentWindowSlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewAggregate(0)
		a.Add([]byte("took:100|ms"))
		<-time.After(5 * time.Second)
		a.Add([]byte("took:1|ms"))
		if got := find(t, a, "took", "").Recent; got.Count != 2 || got.Max != 100*time.Millisecond {
			t.Errorf("after 5 s the window holds %+v", got)
		}
		<-time.After(6 * time.Second)
		if got := find(t, a, "took", "").Recent; got.Count != 1 || got.Max != time.Millisecond {
			t.Errorf("after 11 s the window holds %+v", got)
		}
		a.Add([]byte("took:2|ms")) // takes the place of the part that has gone
		<-time.After(time.Minute)
		s := find(t, a, "took", "")
		if s.Recent != (Summary{}) {
			t.Errorf("after a minute the window holds %+v", s.Recent)
		}
		if s.Life.Count != 3 || s.Life.Max != 100*time.Millisecond {
			t.Errorf("the life's summary is %+v", s.Life)
		}
	})
}

func TestSeriesAreBounded(t *testing.T) {
	a := NewAggregate(3)
	for i := range 10 {
		a.Add(fmt.Appendf(nil, "n%d:1|c", i))
	}
	snap := a.Snapshot()
	if len(snap.Series) != 3 || snap.Refused != 7 {
		t.Errorf("%d series and %d refused, want 3 and 7", len(snap.Series), snap.Refused)
	}
}

func TestIdleSeriesGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewAggregate(3)
		a.Add([]byte("old:1|c\nlevel:5|g\nbusy:1|ms"))
		wait := func(d time.Duration) { <-time.After(d) }
		wait(59 * time.Second)
		a.Add([]byte("busy:1|ms\nnew:1|c")) // none is idle yet
		wait(time.Second)
		a.Add([]byte("new:2|c")) // in place of old: the value of level still stands
		if got := find(t, a, "new", "").Value; got != 2 {
			t.Errorf("new is %v, want 2", got)
		}
		find(t, a, "level", "")
		find(t, a, "busy", "")
		if snap := a.Snapshot(); len(snap.Series) != 3 || snap.Refused != 1 || snap.Removed != 1 {
			t.Errorf("%d series, %d refused, %d removed, want 3, 1 and 1", len(snap.Series), snap.Refused, snap.Removed)
		}
		wait(4 * time.Minute)
		a.Add([]byte("busy:1|ms\nnew:1|c\nlatest:1|c")) // in place of level
		find(t, a, "latest", "")
		if _, kept := a.Snapshot().Find("level", ""); kept {
			t.Error("a gauge that was not set for five minutes does not give way")
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	a := NewAggregate(0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Wait(ctx, func(Snapshot) bool { return false }); err != context.Canceled {
		t.Errorf("Wait returned %v, want context.Canceled", err)
	}
}
