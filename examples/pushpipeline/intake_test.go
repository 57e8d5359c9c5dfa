package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/sinks/websocket"
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
func (s *stubSource) prepare(context.Context) error { return nil }
func (s *stubSource) ready() error                  { return nil }
func (s *stubSource) capacity() int                 { return 100 }
func (s *stubSource) ended(push)                    {}
func (s *stubSource) account(int64) (int64, int)    { return int64(len(s.pushes)), 0 }
func (s *stubSource) backlog() int                  { return 0 }
func (s *stubSource) refuse(context.Context) error  { return nil }
func (s *stubSource) close()                        {}

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
		{name: "more than can ever fit", body: one, source: stubSource{refusal: errNever}, status: 413, want: "can ever"},
		{name: "more than the source holds", body: "[" + strings.Repeat(one+",", 100) + one + "]", status: 413, want: "more than 100 pushes"},
		{name: "not UTF-8", body: `{"user_id":"1","data":{"a":"` + "\xff" + `"}}`, status: 400, want: "not UTF-8"},
		{name: "one user's flood", body: one, source: stubSource{refusal: errKeyFull}, status: 429, want: "this user"},
		{name: "no broker", body: one, source: stubSource{refusal: errAway}, status: 503, want: "does not respond"},
		{name: "full", body: one, source: stubSource{refusal: errFull}, status: 429, want: "the queue is full"},
		{name: "ending", body: one, closed: true, status: 503, want: "shuts down"},
		{name: "not confirmed", body: one, source: stubSource{outcome: errors.New("broker")}, status: 502, want: "1 of 1", taken: 1},
		{name: "method", method: http.MethodGet, body: "", status: 405, want: "use POST"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source := tt.source
			in := newIntake(&source, newLedger(metrics.Nop(), ""), producers{}, 0, slog.New(slog.DiscardHandler))
			in.setOpen(!tt.closed)
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
			if retry := w.Header().Get("Retry-After") != ""; retry != (w.Code == 429 || w.Code == 502 || w.Code == 503) {
				t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
			}
		})
	}
}

// enteringSource takes pushes in when the test says so.
type enteringSource struct {
	stubSource
	begun, goOn chan struct{}
}

func (s *enteringSource) enter(pushes []push, done func(error)) error {
	close(s.begun)
	<-s.goOn
	return s.stubSource.enter(pushes, done)
}

// TestNothingEntersOnceTheIntakeIsClosed: the pipeline drains after that, and a request
// that it overtook would have half of its pushes refused.
func TestNothingEntersOnceTheIntakeIsClosed(t *testing.T) {
	source := &enteringSource{begun: make(chan struct{}), goOn: make(chan struct{})}
	in := newIntake(source, newLedger(metrics.Nop(), ""), producers{}, 0, slog.New(slog.DiscardHandler))
	in.setOpen(true)
	enter := func() error { return in.enter([]push{{User: "1"}}, func(error) {}) }
	entered := make(chan error, 1)
	go func() { entered <- enter() }()
	<-source.begun
	if in.mu.TryLock() { // what setOpen waits for
		in.mu.Unlock()
		t.Error("it can be closed while a push enters the source")
	}
	close(source.goOn)
	in.setOpen(false)
	if err := <-entered; err != nil || len(source.pushes) != 1 {
		t.Errorf("the push under way: %v, %d pushes", err, len(source.pushes))
	}
	if err := enter(); !errors.Is(err, errClosing) {
		t.Errorf("after that: %v", err)
	}
}

func TestMemorySourceTakesAllOrNothing(t *testing.T) {
	l := newLedger(metrics.Nop(), "")
	m := newMemorySource(roomLimits{pushes: 3, bytes: 1 << 20, userPushes: 2, userBytes: 1 << 20}, "here", l, func(push, receipt.Reason) {}, slog.New(slog.DiscardHandler))
	confirmed := 0
	done := func(err error) {
		if err == nil {
			confirmed++
		}
	}
	for _, step := range []struct {
		users string
		want  error
	}{{"12", nil}, {"12", errFull}, {"1234", errNever}, {"1", nil}, {"1", errFull}} {
		var pushes []push
		for _, u := range step.users {
			pushes = append(pushes, push{User: string(u)})
		}
		if err := m.enter(pushes, done); !errors.Is(err, step.want) {
			t.Fatalf("%s: %v, want %v", step.users, err, step.want)
		}
	}
	if n, waiting := m.account(0); n != 3 || waiting != 3 || confirmed != 3 || l.accepted.Load() != 3 {
		t.Errorf("enqueued %d waiting %d confirmed %d", n, waiting, confirmed)
	}
	m.ended(push{User: "2"})
	if err := m.enter([]push{{User: "1"}}, done); !errors.Is(err, errKeyFull) {
		t.Errorf("%v, want errKeyFull", err)
	}
}

// TestSequencerForgets: numbers begin anew, under another origin, before the memory of
// users grows without bound.
func TestSequencerForgets(t *testing.T) {
	s := newSequencer("here")
	for n := range 3 * maxNumbered {
		p := []push{{User: strconv.Itoa(n)}, {User: "1"}}
		s.stamp(p, time.Now())
		if p[0].Seq == 0 || !strings.HasPrefix(p[0].Origin, "here") {
			t.Fatalf("%+v", p[0])
		}
	}
	if len(s.last) > maxNumbered+2 || s.begun != 2 || s.origin != "here-2" {
		t.Errorf("%d users, origin %s", len(s.last), s.origin)
	}
}

// TestRefusedRequestsHaveTheirReason: an operator can tell a producer's fault from a
// server without memory and from a connection that broke.
func TestRefusedRequestsHaveTheirReason(t *testing.T) {
	const one = `{"user_id":"1","data":{}}`
	for _, tt := range []struct {
		reason string
		body   io.Reader
		key    string
		count  int64
	}{
		{reason: "malformed", body: strings.NewReader(`{"user_id":1}`), count: 1},
		{reason: "too_large", body: strings.NewReader(`{"user_id":"1","data":{"x":"` + strings.Repeat("x", maxData) + `"}}`), count: 1},
		{reason: "too_large", body: strings.NewReader(strings.Repeat(" ", maxBody+1)), count: 1},
		{reason: "bodies", body: iotest.ErrReader(websocket.ErrBodies), count: 1},
		{reason: "unread", body: io.MultiReader(strings.NewReader(`[`), iotest.ErrReader(io.ErrUnexpectedEOF)), count: 1},
		{reason: "not_running", body: strings.NewReader(one), count: 1},
		{reason: "idempotency", body: strings.NewReader(one), key: strings.Repeat("k", maxIdempotencyKey+1), count: 1},
		{reason: "idempotency", body: strings.NewReader("[" + one + "," + one + "]"), key: "used", count: 2},
	} {
		r := metricstest.New()
		in := newIntake(&stubSource{}, newLedger(r, ""), producers{}, 0, slog.New(slog.DiscardHandler))
		in.setOpen(tt.reason != "not_running")
		e, _ := in.answers.begin(answerID{"", "used"}, [sha256.Size]byte{}, time.Now())
		in.answers.finish(e, result{accepted: 1}, time.Now())
		request := httptest.NewRequest(http.MethodPost, "/push", tt.body)
		if tt.key != "" {
			request.Header.Set("Idempotency-Key", tt.key)
		}
		in.ServeHTTP(httptest.NewRecorder(), request)
		if n := r.Count("pipeline.refused", metrics.Tag{Key: "reason", Value: tt.reason}); n != tt.count {
			t.Errorf("%s: counted %d, want %d", tt.reason, n, tt.count)
		}
	}
}

func (*stubSource) crowded(push) bool { return false }
