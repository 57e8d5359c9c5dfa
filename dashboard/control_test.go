package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/pipeline"
)

// lines is a log that can be read.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func everybody(*http.Request) bool { return true }

const asJSON = "application/json"

// control asks for an action as the page does.
func (g *program) control(body string, header ...string) (status int, text string) {
	w := g.get("POST", "/dashboard/control", body, append([]string{"Content-Type", asJSON}, header...)...)
	var e struct{ Error string }
	if w.Code != http.StatusNoContent {
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error == "" {
			return 0, w.Body.String()
		}
	}
	return w.Code, e.Error
}

// TestControl: each action has its effect in the pipeline.
func TestControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		g := begin(t, Config{Allow: everybody, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		synctest.Wait()
		snapshot := func() pipeline.Snapshot { return g.p.Snapshot(t.Context()) }
		work := func() (w pipeline.WorkSnapshot) {
			for _, s := range snapshot().Stages {
				if s.Name == "map" {
					w = s.Handler.(pipeline.WorkSnapshot)
				}
			}
			return w
		}
		for _, tc := range []struct {
			body  string
			works func() bool
		}{
			{`{"part":"0","action":"pause"}`, func() bool { return snapshot().Paused }},
			{`{"part":"0","step":"","action":"resume"}`, func() bool { return !snapshot().Paused }},
			{`{"part":"0","action":"rate","value":100}`, func() bool { return snapshot().Rate.PerSecond == 100 }},
			{`{"part":"0","action":"rate","value":0}`, func() bool { return snapshot().Rate.PerSecond == 0 }},
			{`{"part":"0","step":"map","action":"pause"}`, func() bool { return snapshot().Steps[1].Paused }},
			{`{"part":"0","step":"map","action":"resume"}`, func() bool { return !snapshot().Steps[1].Paused }},
			{`{"part":"0","step":"map","action":"resize","value":7}`, func() bool { return work().Workers == 7 }},
			{`{"part":"0","step":"map","action":"rate","value":0.5}`, func() bool { return true }},
			{`{"part":"0","step":"map","action":"restart"}`, func() bool { return snapshot().Steps[1].Restarts == 1 && work().Workers == 7 }},
			{`{"part":"0","step":"map","action":"drain"}`, func() bool { return !snapshot().Running }},
		} {
			if status, text := g.control(tc.body); status != http.StatusNoContent {
				t.Errorf("%s: %d %s", tc.body, status, text)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if !tc.works() {
				t.Errorf("%s has no effect: %+v", tc.body, snapshot())
			}
		}
		for _, want := range []string{`msg="dashboard: an action" remote=192.0.2.1:1234 part=0 step=map action=resize value=7 pipeline=numbers`, `action=drain`} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %q in\n%s", want, log.String())
			}
		}
	})
}

// TestRefusedControl: what is not carried out has a status and a text, and changes nothing.
func TestRefusedControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		asked := 0
		allow := func(r *http.Request) bool { asked++; return r.Header.Get("Authorization") == "Bearer x" }
		g := begin(t, Config{Allow: allow, Logger: slog.New(slog.NewTextHandler(&log, nil))}, Part{Kind: "nodes", Snapshot: func(ctx ctx) any { return 1 }})
		synctest.Wait()
		mine := []string{"Authorization", "Bearer x"}
		pause := `{"part":"0","action":"pause"}`
		for _, tc := range []struct {
			body   string
			header []string
			status int
			text   string
		}{
			{pause, nil, 403, "does not allow"},
			{pause, append(mine, "Sec-Fetch-Site", "cross-site"), 403, "another site"},
			{pause, append(mine, "Sec-Fetch-Site", "same-site"), 403, "another site"},
			{pause, append(mine, "Origin", "https://elsewhere.example"), 403, "another site"},
			{pause, append(mine, "Content-Type", "text/plain"), 415, "application/json"},
			{pause, append(mine, "Content-Type", "application/json; charset=\""), 415, "application/json"},
			{`{"part":"0"`, mine, 400, "body is wrong"},
			{`{"part":"0","action":"pause","more":1}`, mine, 400, "more"},
			{pause + pause, mine, 400, "more than one"},
			{`{"part":"` + strings.Repeat("x", maxBody) + `"}`, mine, 413, "larger"},
			{`{"part":"9","action":"pause"}`, mine, 404, "no part"},
			{`{"part":"00","action":"pause"}`, mine, 404, "no part"},
			{`{"part":"1","action":"pause"}`, mine, 400, "cannot be controlled"},
			{`{"part":"0","step":"none","action":"pause"}`, mine, 404, `no step "none"`},
			{`{"part":"0","action":"explode"}`, mine, 400, `no action "explode"`},
			{`{"part":"0","step":"map","action":"explode"}`, mine, 400, `no action "explode"`},
			{`{"part":"0","action":"resize","value":3}`, mine, 400, "for a step"},
			{`{"part":"0","step":"map","action":"resize","value":0}`, mine, 400, "Workers"},
			{`{"part":"0","step":"map","action":"resize","value":1.5}`, mine, 400, "whole number"},
			{`{"part":"0","step":"map","action":"resize","value":1e300}`, mine, 400, "whole number"},
			{`{"part":"0","step":"map","action":"rate","value":-1}`, mine, 400, "Rate"},
			{`{"part":"0","step":"source","action":"resize","value":3}`, mine, 409, pipeline.ErrUnable.Error()},
			{`{"part":"0","step":"source","action":"restart"}`, mine, 409, pipeline.ErrUnable.Error()},
		} {
			// A later header of the same name replaces the one of control.
			if status, text := g.control(tc.body, tc.header...); status != tc.status || !strings.Contains(text, tc.text) {
				t.Errorf("%.60s %v: %d %q, not %d %q", tc.body, tc.header, status, text, tc.status, tc.text)
			}
		}
		if s := g.p.Snapshot(t.Context()); s.Paused || !s.Running || s.Steps[1].Restarts > 0 {
			t.Errorf("%+v", s)
		}
		if asked == 0 || !strings.Contains(log.String(), `level=WARN msg="dashboard: an action was refused" remote=192.0.2.1:1234`) {
			t.Error(asked, log.String())
		}
	})
}

// TestCloseWaitsForActions, and none begins after Stop.
func TestCloseWaitsForActions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang, all := make(chan struct{}), []deadletter.Letter{letter(1)}
		d, err := New(Config{Allow: everybody, Logger: quiet}, DeadLetters("l", LettersConfig{
			Read: func() iter.Seq2[deadletter.Letter, error] {
				return func(f func(deadletter.Letter, error) bool) { f(all[0], nil) }
			},
			Count: func() int { return 1 },
			Play:  func(ctx, deadletter.Letter) error { <-hang; return nil },
		}))
		if err != nil {
			t.Fatal(err)
		}
		g := &program{d: d}
		played := make(chan int, 1)
		go func() { status, _ := g.replay(identify(&all[0])); played <- status }()
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Close(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close does not wait for an action: %v", err)
		}
		close(hang)
		if status := <-played; status != http.StatusOK {
			t.Error(status)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if status, _ := g.replay(identify(&all[0])); status != http.StatusServiceUnavailable {
			t.Errorf("an action after Stop: %d", status)
		}
		if status, text := g.control(`{"part":"0","action":"pause"}`); status != http.StatusServiceUnavailable || text != errStopped.Error() {
			t.Errorf("an action after Stop: %d %s", status, text)
		}
	})
}

// TestControlWithoutAllow: no request may, and the page has no controls.
func TestControlWithoutAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := begin(t, Config{})
		if status, text := g.control(`{"part":"0","action":"pause"}`); status != 403 {
			t.Error(status, text)
		}
		if s := g.get("GET", "/state", "").Body.String(); !strings.Contains(s, `"control":false`) {
			t.Error(s)
		}
	})
}
