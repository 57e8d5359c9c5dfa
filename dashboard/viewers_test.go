package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/stage"
)

type ctx = context.Context

// counting is a part that counts its snapshots.
func counting(n *atomic.Int64) Part {
	return Part{Kind: "count", Name: "n", Snapshot: func(ctx) any { return n.Add(1) }}
}

// TestNothingRunsWithoutAViewer: snapshots begin with the first viewer and end with the
// last one, and more viewers are no more snapshots.
func TestNothingRunsWithoutAViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		g := begin(t, Config{Interval: time.Minute}, counting(&n))
		time.Sleep(time.Hour)
		if n.Load() != 0 || g.d.running != 0 {
			t.Errorf("%d snapshots, %d goroutines without a viewer", n.Load(), g.d.running)
		}
		var all []*viewer
		for range 10 {
			all = append(all, g.view(t))
		}
		time.Sleep(10*time.Minute - time.Second)
		if n.Load() != 10 {
			t.Errorf("%d snapshots in ten intervals", n.Load())
		}
		before := runtime.NumGoroutine()
		for _, v := range all {
			v.leave()
		}
		synctest.Wait()
		if after := runtime.NumGoroutine(); after >= before || g.d.running != 0 || g.d.run != nil {
			t.Errorf("%d goroutines, then %d", before, after)
		}
		time.Sleep(time.Hour)
		if n.Load() != 10 {
			t.Errorf("%d snapshots after the last viewer", n.Load())
		}
		// Another one begins anew.
		v := g.view(t)
		synctest.Wait()
		if names := v.read(t); names != "state" || n.Load() != 11 {
			t.Error(names, n.Load())
		}
		v.leave()
	})
}

// TestTooManyViewers are refused, and there is room again when one has left.
func TestTooManyViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := begin(t, Config{MaxViewers: 2})
		a, b := g.view(t), g.view(t)
		synctest.Wait()
		for _, path := range []string{"/events", "/state"} {
			if w := g.get("GET", path, ""); w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "as many viewers") {
				t.Error(path, w.Code, w.Body.String())
			}
		}
		a.leave()
		if w := g.get("GET", "/state", ""); w.Code != 200 {
			t.Error(w.Code)
		}
		b.leave()
	})
}

// TestSlowViewer: one that does not take its events delays no other, and gets the whole
// state when it does.
func TestSlowViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := begin(t, Config{})
		slow := &viewer{w: &stream{ResponseRecorder: httptest.NewRecorder(), hold: make(chan struct{})}, done: make(chan struct{})}
		var c ctx
		c, slow.cancel = context.WithCancel(context.Background())
		go func() {
			defer close(slow.done)
			g.d.ServeHTTP(slow.w, httptest.NewRequest("GET", "/events", nil).WithContext(c))
		}()
		quick := g.view(t)
		for range 5 {
			g.f.push(10)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if names := quick.read(t); names != "state patch patch patch patch patch" {
			t.Error(names)
		}
		slow.w.hold <- struct{}{} // it takes the first state
		slow.w.hold <- struct{}{}
		synctest.Wait()
		if names := slow.read(t); names != "state state" {
			t.Error(names)
		}
		if a, b := text(t, slow.state), text(t, quick.state); a != b {
			t.Errorf("slow:\n%s\nquick:\n%s", a, b)
		}
		close(slow.w.hold)
		slow.leave()
		quick.leave()
	})
}

// TestStop ends what viewers look at, and Close waits for a snapshot that does not return.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		g := begin(t, Config{}, Part{Kind: "hung", Snapshot: func(ctx) any { <-hang; return 1 }})
		v := g.view(t)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if v.read(t); !strings.Contains(text(t, v.state), `"id":"1","kind":"hung","late":true`) {
			t.Error(text(t, v.state))
		}
		if !strings.Contains(text(t, v.state), `"running":true`) {
			t.Error("a part that hangs hides the others")
		}
		g.d.Stop()
		<-v.done
		if w := g.get("GET", "/events", ""); w.Code != 503 {
			t.Error(w.Code)
		}
		c, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.d.Close(c); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(hang)
	})
}

// TestOneSnapshotAtATime: a viewer that comes while the snapshot of an earlier one is under
// way does not begin another one, and gets its own once that has returned.
func TestOneSnapshotAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var callers, most, calls atomic.Int64
		hang := make(chan struct{})
		g := begin(t, Config{}, Part{Kind: "hung", Snapshot: func(ctx) any {
			defer callers.Add(-1)
			most.Store(max(most.Load(), callers.Add(1)))
			calls.Add(1)
			<-hang
			return "here"
		}})
		for range 5 {
			v := g.view(t)
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if v.read(t); !strings.Contains(text(t, v.state), `"id":"1","kind":"hung","late":true`) {
				t.Error(text(t, v.state))
			}
			v.leave()
		}
		if calls.Load() != 1 || most.Load() != 1 {
			t.Errorf("%d calls, %d at a time", calls.Load(), most.Load())
		}
		close(hang)
		synctest.Wait()
		v := g.view(t)
		synctest.Wait()
		if v.read(t); !strings.Contains(text(t, v.state), `"data":"here","id":"1","kind":"hung","late":false`) || most.Load() != 1 {
			t.Error(text(t, v.state), most.Load())
		}
		v.leave()
	})
}

// TestBadParts: a panic and what has no JSON form are shown in the place of a snapshot.
func TestBadParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := begin(t, Config{MaxList: 3},
			Part{Kind: "a", Snapshot: func(ctx) any { panic("no <snapshot>") }},
			Part{Kind: "b", Snapshot: func(ctx) any { return func() {} }},
			Part{Kind: "c", Snapshot: func(ctx) any { runtime.Goexit(); return nil }},
			Part{Kind: "d", Snapshot: func(ctx) any { return strings.Repeat("x", maxValue) }},
			Part{Kind: "e", Snapshot: func(ctx) any { return map[string][]int{"nodes": {1, 2, 3, 4, 5}} }},
			Part{Kind: "f", Snapshot: func(ctx) any { return nil }},
		)
		_, s, _ := strings.Cut(g.get("GET", "/state", "").Body.String(), `{"id":"1"`)
		for _, want := range []string{`{"error":"panic: no \u003csnapshot\u003e"}`, "cannot be encoded: json: unsupported type: func()", "Goexit",
			"bytes are too many to be shown", `{"nodes":[1,2,3],"nodes_left":2}`, `"kind":"f","name":""`} {
			if !strings.Contains(s, want) {
				t.Errorf("no %s in %.2000s", want, s)
			}
		}
	})
}

// TestHeaders: each response has those that keep the page safe.
func TestHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := begin(t, Config{})
		for _, tc := range []struct {
			method, path string
			status       int
			kind         string
		}{
			{"GET", "/", 200, "text/html; charset=utf-8"},
			{"HEAD", "/x/y/", 200, "text/html; charset=utf-8"},
			{"POST", "/", 405, asJSON},
			{"GET", "/x/state", 200, asJSON},
			{"POST", "/x/state", 405, asJSON},
			{"GET", "/control", 405, asJSON},
			{"POST", "/control", 415, asJSON},
			{"POST", "/letters", 415, asJSON},
			{"GET", "/letters", 404, asJSON},
			{"GET", "/letters?part=0", 404, asJSON},
			{"GET", "/none", 404, asJSON},
			{"GET", "/web", 404, asJSON},
			{"GET", "/..", 404, asJSON},
			{"GET", "/%2e%2e%2fdoc.go", 404, asJSON},
		} {
			w := g.get(tc.method, tc.path, "")
			h := w.Header()
			if w.Code != tc.status || h.Get("Content-Type") != tc.kind {
				t.Errorf("%s %s: %d %s", tc.method, tc.path, w.Code, h.Get("Content-Type"))
			}
			if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'; script-src 'self'; style-src 'self';") || strings.Contains(csp, "unsafe") ||
				!strings.Contains(csp, "frame-ancestors 'none'") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %v", tc.method, tc.path, h)
			}
			if w.Code == 405 && h.Get("Allow") == "" {
				t.Errorf("%s %s: no Allow", tc.method, tc.path)
			}
		}
	})
}

// bounded is a stream that notes the deadline of its writes.
type bounded struct {
	*stream
	until         atomic.Pointer[time.Time]
	written, free atomic.Int64 // all writes, and those without a deadline
}

func (b *bounded) SetWriteDeadline(at time.Time) error { b.until.Store(&at); return nil }

func (b *bounded) note() {
	b.written.Add(1)
	if at := b.until.Load(); at == nil || at.IsZero() {
		b.free.Add(1)
	}
}

func (b *bounded) Flush() { b.note() }

func (b *bounded) Write(p []byte) (int, error) { b.note(); return b.stream.Write(p) }

// TestWriteDeadline: all writes have one, and none is set while the viewer waits, since it
// would end a stream of HTTP/2.
func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := begin(t, Config{Interval: time.Minute})
		w := &bounded{stream: &stream{ResponseRecorder: httptest.NewRecorder()}}
		c, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			g.d.ServeHTTP(w, httptest.NewRequest("GET", "/events", nil).WithContext(c))
		}()
		for range 3 {
			time.Sleep(time.Minute)
			synctest.Wait()
			if at := w.until.Load(); at == nil || !at.IsZero() {
				t.Errorf("it waits with a deadline at %v", at)
			}
		}
		cancel()
		<-done
		if w.written.Load() < 3 || w.free.Load() > 0 {
			t.Errorf("%d of %d writes without a deadline", w.free.Load(), w.written.Load())
		}
	})
}

// TestOverHTTP: the events come through a real server, whose Shutdown is not held up.
func TestOverHTTP(t *testing.T) {
	d, err := New(Config{Interval: 100 * time.Millisecond, Logger: quiet}, Part{Kind: "a", Name: "<b>", Snapshot: func(ctx) any { return time.Now().UnixNano() }})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/deep/below/", d)
	s := httptest.NewUnstartedServer(mux)
	s.Config.WriteTimeout, s.Config.ReadTimeout = 2*time.Second, 2*time.Second
	s.Config.RegisterOnShutdown(d.Stop)
	s.Start()
	defer s.Close()
	defer s.Client().CloseIdleConnections()
	begun := time.Now()
	r, err := s.Client().Get(s.URL + "/deep/below/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.Header.Get("Content-Type") != "text/event-stream" {
		t.Error(r.Header)
	}
	var got strings.Builder
	buf := make([]byte, 4096)
	// For longer than the time-outs of the server allow.
	for time.Since(begun) < 2500*time.Millisecond || strings.Count(got.String(), "event: patch\n") < 5 {
		n, err := r.Body.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, got.String())
		}
		got.Write(buf[:n])
	}
	if !strings.HasPrefix(got.String(), "event: state\ndata: {") || strings.Contains(got.String(), "<b>") {
		t.Errorf("%q", got.String())
	}
	if err := s.Config.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRowsComeAndGo: the merged state is the whole one, for rows that come, change, lose
// fields, are too many and go.
func TestRowsComeAndGo(t *testing.T) {
	for seed := range 50 {
		random := newRandom(t, uint64(seed))
		synctest.Test(t, func(t *testing.T) {
			var at atomic.Pointer[stage.PipelineSnapshot]
			change := func() {
				s := randomStages(random)
				at.Store(&s)
			}
			change()
			d, err := New(Config{MaxItems: 6, Logger: quiet}, Part{Kind: "stages", Name: "s", Snapshot: func(ctx) any { return *at.Load() }})
			if err != nil {
				t.Fatal(err)
			}
			g := &program{d: d}
			v := g.view(t)
			synctest.Wait()
			for range 20 {
				v.read(t)
				w := g.view(t)
				synctest.Wait()
				w.read(t)
				if a, b := sorted(t, v.state), sorted(t, w.state); a != b {
					t.Fatalf("seed %d: merged:\n%s\nwhole:\n%s", seed, a, b)
				}
				w.leave()
				change()
				time.Sleep(time.Second)
				synctest.Wait()
			}
			v.leave()
			if err := d.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// FuzzCut: what is cut is JSON, and without a bound the same text.
func FuzzCut(f *testing.F) {
	for _, s := range []string{`{}`, `[]`, `[[1,2],[3]]`, `{"a":[1,2,3],"b":{"top":[{"x":"\"]"},2]}}`, `"a\\"`, `-1.5e3`, `{"a\"b":[1,2]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkCut(t, s) })
}

func TestCut(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("1,", 30), ",")
	for _, tc := range []struct{ in, want string }{
		{`{"a":[1,2,3,4],"b":[5]}`, `{"a":[1,2],"a_left":2,"b":[5]}`},
		{`[[1,2,3],4,5]`, `[[1,2],4]`},
		{`{"x":{"y":[{"z":[1,2,3]}]}}`, `{"x":{"y":[{"z":[1,2],"z_left":1}]}}`},
		{`"a]\\"`, `"a]\\"`},
		{`null`, `null`},
	} {
		if got := string(cut(nil, []byte(tc.in), 2)); got != tc.want {
			t.Errorf("%s: %s", tc.in, got)
		}
		checkCut(t, tc.in)
	}
	if got, want := string(cut(nil, fmt.Appendf(nil, `{"top":[%s]}`, many), 100)), `"top_left":10}`; !strings.HasSuffix(got, want) {
		t.Error(got)
	}
}
