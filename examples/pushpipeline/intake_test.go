package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/stage"
)

// stubSource takes in what it is told to.
type stubSource struct {
	refusal error // of enter
	outcome error // for done
	pushes  []push
}

func (s *stubSource) handler() stage.Producer[push] { return nil }
func (s *stubSource) enter(pushes []push, done func(error)) error {
	if s.refusal != nil {
		return s.refusal
	}
	s.pushes = append(s.pushes, pushes...)
	for range pushes {
		done(s.outcome)
	}
	return nil
}
func (s *stubSource) waiting() int                 { return len(s.pushes) }
func (s *stubSource) refuse(context.Context) error { return nil }
func (s *stubSource) close()                       {}

func TestIntakeAnswers(t *testing.T) {
	const one = `{"user_id":"1","data":{}}`
	for _, tt := range []struct {
		name, method, body string
		source             stubSource
		closed             bool
		status             int
		want               string
		taken              int
	}{
		{name: "one", body: one, status: 202, want: `{"accepted":1}`, taken: 1},
		{name: "many", body: "[" + one + "," + one + "]", status: 202, want: `{"accepted":2}`, taken: 2},
		{name: "malformed", body: `{"user_id":1}`, status: 400, want: "user_id must be a string"},
		{name: "one of many malformed", body: "[" + one + ",{}]", status: 400, want: "push 1: user_id is missing"},
		{name: "data too large", body: `{"user_id":"1","data":{"x":"` + strings.Repeat("x", maxData) + `"}}`, status: 413, want: "at most 32768"},
		{name: "body too large", body: strings.Repeat(" ", maxBody+1), status: 413, want: "more than 1048576 bytes"},
		{name: "full", body: one, source: stubSource{refusal: errFull}, status: 429, want: "the queue is full"},
		{name: "ending", body: one, closed: true, status: 503, want: "shutting down"},
		{name: "not confirmed", body: one, source: stubSource{outcome: errors.New("broker")}, status: 502, want: "1 of 1", taken: 1},
		{name: "method", method: http.MethodGet, body: "", status: 405, want: "use POST"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source := tt.source
			in := &intake{source: &source, ledger: newLedger(metrics.Nop(), "")}
			in.open.Store(!tt.closed)
			method := tt.method
			if method == "" {
				method = http.MethodPost
			}
			w := httptest.NewRecorder()
			in.ServeHTTP(w, httptest.NewRequest(method, "/push", strings.NewReader(tt.body)))
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tt.status, tt.want)
			}
			if len(source.pushes) != tt.taken {
				t.Errorf("%d pushes were enqueued, want %d", len(source.pushes), tt.taken)
			}
			if retry := w.Header().Get("Retry-After") != ""; retry != (w.Code == 429 || w.Code == 503) {
				t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
			}
		})
	}
}

func TestMemorySourceTakesAllOrNothing(t *testing.T) {
	l := newLedger(metrics.Nop(), "")
	m := newMemorySource(3, "here", l)
	confirmed := 0
	done := func(err error) {
		if err == nil {
			confirmed++
		}
	}
	if err := m.enter([]push{{User: "1"}, {User: "2"}}, done); err != nil {
		t.Fatal(err)
	}
	if err := m.enter([]push{{User: "1"}, {User: "2"}}, done); !errors.Is(err, errFull) {
		t.Fatalf("%v, want the queue to refuse", err)
	}
	if err := m.enter([]push{{User: "1"}}, done); err != nil {
		t.Fatal(err)
	}
	if m.waiting() != 3 || confirmed != 3 || l.enqueued.Load() != 3 {
		t.Errorf("waiting %d confirmed %d enqueued %d", m.waiting(), confirmed, l.enqueued.Load())
	}
}
