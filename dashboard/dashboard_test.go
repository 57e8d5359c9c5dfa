package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

var quiet = slog.New(slog.DiscardHandler)

// feed is a source that emits as many events as it is told.
type feed struct {
	mu           sync.Mutex
	left, demand int
	self         *stage.Handle
}

func (f *feed) HandleStart(_ context.Context, self *stage.Handle) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.self = self
	return nil
}

func (f *feed) HandleDemand(_ context.Context, demand int, emit *stage.Emitter[int]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.demand += demand; f.demand > 0 && f.left > 0; f.demand-- {
		f.left--
		emit.Emit(f.left)
	}
	return nil
}

func (f *feed) HandleWake(ctx context.Context, emit *stage.Emitter[int]) error {
	return f.HandleDemand(ctx, 0, emit)
}

func (f *feed) push(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left += n
	f.self.Wake()
}

// program is a pipeline that runs, with its dashboard.
type program struct {
	p *pipeline.Pipeline
	d *Dashboard
	f *feed
}

// begin starts it, in a bubble of synctest.
func begin(t *testing.T, cfg Config, parts ...Part) *program {
	t.Helper()
	g := &program{p: pipeline.New(pipeline.Config{Name: "numbers", Logger: quiet}), f: &feed{}}
	in := pipeline.From[int](g.p, g.f, pipeline.SourceConfig[int]{Name: "source"})
	mapped := pipeline.Map(in, func(_ context.Context, v int) (int, error) { return v, nil }, pipeline.StepConfig[int]{Name: "map", Workers: 2})
	pipeline.Each(mapped, func(context.Context, int) error { return nil }, pipeline.StepConfig[int]{Name: "end"})
	done := make(chan error, 1)
	go func() { done <- g.p.Run(context.Background()) }()
	synctest.Wait()
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	g.d = stage.Must(New(cfg, append([]Part{Pipeline(g.p)}, parts...)...))
	t.Cleanup(func() {
		if err := g.d.Close(context.Background()); err != nil {
			t.Error(err)
		}
		g.p.Stop(nil)
		<-done
	})
	return g
}

// viewer reads the events of a dashboard.
type viewer struct {
	w      *stream
	cancel context.CancelFunc
	done   chan struct{}
	state  map[string]any
}

// stream is a response that can be read while it is written.
type stream struct {
	*httptest.ResponseRecorder
	mu     sync.Mutex
	chunks []string
	hold   chan struct{} // not nil: a write waits for it
}

func (s *stream) Write(b []byte) (int, error) {
	if s.hold != nil {
		<-s.hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chunks = append(s.chunks, string(b))
	return len(b), nil
}

func (s *stream) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.chunks
	s.chunks = nil
	return all
}

func (g *program) view(t *testing.T) *viewer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	v := &viewer{w: &stream{ResponseRecorder: httptest.NewRecorder()}, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(v.done)
		g.d.ServeHTTP(v.w, httptest.NewRequest("GET", "/x/events", nil).WithContext(ctx))
	}()
	return v
}

func (v *viewer) leave() { v.cancel(); <-v.done }

// read merges the events that came, as the page does, and returns their names.
func (v *viewer) read(t *testing.T) (names string) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(strings.Join(v.w.take(), "")))
	lines.Buffer(nil, 64<<20)
	name := ""
	for lines.Scan() {
		kind, text, _ := strings.Cut(lines.Text(), ": ")
		switch kind {
		case "event":
			name = text
			names += text + " "
		case "data":
			var m map[string]any
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Fatal(err, text)
			}
			if name == "state" {
				v.state = m
			} else {
				merge(v.state, m)
			}
		}
	}
	return strings.TrimSpace(names)
}

// merge applies a patch to a state.
func merge(state, patch map[string]any) {
	state["at"] = patch["at"]
	for _, p := range patch["parts"].([]any) {
		p := p.(map[string]any)
		for _, s := range state["parts"].([]any) {
			s := s.(map[string]any)
			if s["id"] != p["id"] {
				continue
			}
			s["late"] = p["late"]
			data, _ := p["data"].(map[string]any)
			if _, graph := data["stages"]; graph {
				mergeGraph(s["data"].(map[string]any), data)
			} else if data != nil {
				s["data"] = data
			}
		}
	}
}

func mergeGraph(s, p map[string]any) {
	for _, list := range []struct{ name, key, gone string }{{"stages", "name", "gone"}, {"steps", "name", "gone_steps"}, {"edges", "id", "gone_edges"}} {
		changed, _ := p[list.name].([]any)
		gone, _ := p[list.gone].([]any)
		delete(p, list.name)
		delete(p, list.gone)
		var all []any
		rows, _ := s[list.name].([]any)
		for _, r := range rows {
			keep := true
			for _, key := range gone {
				keep = keep && r.(map[string]any)[list.key] != key
			}
			if keep {
				all = append(all, r)
			}
		}
	next:
		for _, c := range changed {
			c := c.(map[string]any)
			for _, r := range all {
				r := r.(map[string]any)
				if r[list.key] == c[list.key] {
					for k, v := range c {
						if v == nil {
							delete(r, k)
						} else {
							r[k] = v
						}
					}
					continue next
				}
			}
			all = append(all, c)
		}
		if all != nil || s[list.name] != nil {
			s[list.name] = all
		}
	}
	maps.Copy(s, p)
}

func TestViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := begin(t, Config{})
		v := g.view(t)
		synctest.Wait()
		if names := v.read(t); names != "state" {
			t.Fatal(names)
		}
		g.f.push(100)
		time.Sleep(time.Second)
		synctest.Wait()
		if names := v.read(t); names != "patch" {
			t.Fatal(names)
		}
		w := g.view(t)
		synctest.Wait()
		if names := w.read(t); names != "state" {
			t.Fatal(names)
		}
		if a, b := text(t, v.state), text(t, w.state); a != b {
			t.Errorf("merged:\n%s\nwhole:\n%s", a, b)
		}
		if !strings.Contains(text(t, v.state), `"emitted":100`) {
			t.Error(text(t, v.state))
		}
		v.leave()
		w.leave()
	})
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestErrorAndBack: after a snapshot that has panicked viewers get the graph again, although
// it is the same as before, and the same error once more when it comes back.
func TestErrorAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		g := begin(t, Config{}, Part{Kind: "stages", Snapshot: func(context.Context) any {
			if calls.Add(1)%2 == 0 {
				panic("once")
			}
			return stage.PipelineSnapshot{Stages: []stage.Snapshot{{Name: "a"}}}
		}})
		v := g.view(t)
		for i := range 4 {
			synctest.Wait()
			v.read(t)
			w := g.view(t)
			synctest.Wait()
			w.read(t)
			if a, b := text(t, v.state), text(t, w.state); a != b || strings.Contains(a, "once") != (i%2 == 1) {
				t.Errorf("snapshot %d, merged:\n%s\nwhole:\n%s", i, a, b)
			}
			w.leave()
			time.Sleep(time.Second)
		}
		v.leave()
	})
}

// get makes one request.
func (g *program) get(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	g.d.ServeHTTP(w, r)
	return w
}

func TestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := begin(t, Config{Title: `a "title"`, Allow: func(*http.Request) bool { return true }})
		synctest.Wait()
		w := g.get("GET", "/any/where/state", "")
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
			t.Error(w.Code, w.Header())
		}
		for _, want := range []string{`{"title":"a \"title\"","at":"`, `"interval_ms":1000,"control":true,"parts":[{"id":"0","late":false,"kind":"pipeline","name":"numbers","data":{"name":"numbers","running":true,`,
			`"steps":[{"name":"source",`, `"stages":[{"name":"source","kind":"producer","phase":"running","draining":false,`, `"edges":[{"id":`} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("no %s in %s", want, w.Body.String())
			}
		}
	})
}
