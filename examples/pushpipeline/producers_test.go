package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/penstock-go/penstock/metrics"
)

// claims are valid ones of a producer, changed by edit.
func claims(edit func(*jwt.RegisteredClaims)) jwt.RegisteredClaims {
	c := jwt.RegisteredClaims{
		Subject: "billing", Audience: jwt.ClaimStrings{pushAudience},
		ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Minute)),
	}
	if edit != nil {
		edit(&c)
	}
	return c
}

func TestProducersAreAuthenticated(t *testing.T) {
	const secret = "a secret of more than thirty-two bytes"
	p, err := loadProducers(fileWith(t, "a-key-of-more-than-20-bytes\nanother-key-of-more-than-20\n"), fileWith(t, secret+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(method jwt.SigningMethod, key any, edit func(*jwt.RegisteredClaims)) string {
		tok, err := jwt.NewWithClaims(method, claims(edit)).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	hs := func(edit func(*jwt.RegisteredClaims)) string {
		return sign(jwt.SigningMethodHS256, []byte(secret), edit)
	}
	for _, tt := range []struct{ header, want string }{
		{"Bearer a-key-of-more-than-20-bytes", "key"},
		{"bearer another-key-of-more-than-20", "key"},
		{"Bearer " + hs(nil), "jwt:billing"},
		{"", ""}, {"Bearer", ""}, {"Bearer ", ""}, {"Basic a-key-of-more-than-20-bytes", ""},
		{"Bearer a-key-of-more-than-20-byte", ""}, {"Bearer A-key-of-more-than-20-bytes", ""},
		{"Bearer " + strings.Repeat("x", 10_000), ""},
		{"Bearer " + sign(jwt.SigningMethodHS256, []byte("another secret of thirty-two bytes"), nil), ""},
		{"Bearer " + sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), ""},
		{"Bearer " + hs(func(c *jwt.RegisteredClaims) { c.ExpiresAt = nil }), ""},
		{"Bearer " + hs(func(c *jwt.RegisteredClaims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Hour)) }), ""},
		{"Bearer " + hs(func(c *jwt.RegisteredClaims) { c.Audience = jwt.ClaimStrings{"sockets"} }), ""},
		{"Bearer " + hs(func(c *jwt.RegisteredClaims) { c.Subject = "" }), ""},
		{"Bearer " + hs(func(c *jwt.RegisteredClaims) { c.Subject = strings.Repeat("x", 65) }), ""},
	} {
		r := httptest.NewRequest(http.MethodPost, "/push", nil)
		if tt.header != "" {
			r.Header.Set("Authorization", tt.header)
		}
		got, err := p.name(r)
		if got != tt.want || (err == nil) != (tt.want != "") || err != nil && !errors.Is(err, errUnauthorized) {
			t.Errorf("%.80q: %q %v, want %q", tt.header, got, err, tt.want)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/push", nil)
	r.Header["Authorization"] = []string{"Bearer a-key-of-more-than-20-bytes", "Bearer a-key-of-more-than-20-bytes"}
	if _, err := p.name(r); err == nil {
		t.Error("two headers are let in")
	}

	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if p, err = loadProducers("", fileWith(t, public)); err != nil {
		t.Fatal(err)
	}
	for tok, want := range map[string]string{
		sign(jwt.SigningMethodES256, private, nil):        "jwt:billing",
		sign(jwt.SigningMethodHS256, []byte(public), nil): "",
	} {
		r := httptest.NewRequest(http.MethodPost, "/push", nil)
		r.Header.Set("Authorization", "Bearer "+tok)
		if got, _ := p.name(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestSecretsAreNotInErrors: what is wrong with a file is said without its content.
func TestSecretsAreNotInErrors(t *testing.T) {
	for _, files := range [][2]string{
		{fileWith(t, "hunter2"), ""}, {fileWith(t, " \n"), ""}, {"", fileWith(t, "hunter2")}, {"/nowhere", ""}, {"", "/nowhere"},
		{"", fileWith(t, "-----BEGIN PUBLIC KEY-----\naHVudGVyMg==\n-----END PUBLIC KEY-----\n")},
	} {
		_, err := loadProducers(files[0], files[1])
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "104 117 110") {
			t.Errorf("%v: %v", files, err)
		}
	}
}

func TestPacer(t *testing.T) {
	now := time.Now()
	p := newPacer(10)
	// A large request is let through, and paid for before the next one.
	if _, ok := p.spend("a", 25, now); !ok {
		t.Error("the first request is refused")
	}
	if wait, ok := p.spend("a", 1, now); ok || wait < 1500*time.Millisecond || wait > 2*time.Second {
		t.Errorf("%v %v", wait, ok)
	}
	if _, ok := p.spend("b", 1, now); !ok {
		t.Error("another producer is refused")
	}
	if _, ok := p.spend("a", 1, now.Add(1700*time.Millisecond)); !ok {
		t.Error("it is refused after its wait")
	}
	// In the long run a producer makes what it may.
	made := 0
	for at := now; at.Before(now.Add(100 * time.Second)); at = at.Add(10 * time.Millisecond) {
		if _, ok := p.spend("c", 1, at); ok {
			made++
		}
	}
	if made < 1000 || made > 1015 {
		t.Errorf("%d pushes in 100 s", made)
	}
	// Names that come once are forgotten.
	for n := range 100_000 {
		p.spend(fmt.Sprint(n), 1, now.Add(time.Duration(n)*time.Millisecond))
	}
	if len(p.budgets) > 3000 {
		t.Errorf("%d producers are remembered", len(p.budgets))
	}
	if _, ok := newPacer(0).spend("a", 1<<30, now); !ok {
		t.Error("without a rate there is a bound")
	}
}

// slowSource confirms when the test says so.
type slowSource struct {
	stubSource
	mu   sync.Mutex
	done []func(error)
}

func (s *slowSource) enter(pushes []push, done func(error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushes = append(s.pushes, pushes...)
	for range pushes {
		s.done = append(s.done, done)
	}
	return nil
}

// confirm ends what waits and returns the number of pushes that have entered.
func (s *slowSource) confirm(err error) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, done := range s.done {
		done(err)
	}
	s.done = nil
	return len(s.pushes)
}

func TestIdempotencyKeyPushesOnce(t *testing.T) {
	source := &slowSource{}
	in := newIntake(source, newLedger(metrics.Nop(), ""), producers{}, 0, slog.New(slog.DiscardHandler))
	in.setOpen(true)
	send := func(key, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/push", strings.NewReader(body))
		r.Header.Set("Idempotency-Key", key)
		in.ServeHTTP(w, r)
		return w
	}
	const one = `{"user_id":"1","data":{}}`
	// Ten at once, of which one pushes and all wait for it.
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if w := send("k", one); w.Code != http.StatusAccepted {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	eventually(t, patience, "a push", func() bool { return source.confirm(nil) == 1 })
	all.Wait()
	if w := send("k", one); w.Code != http.StatusAccepted || source.confirm(nil) != 1 {
		t.Errorf("again: %d %s, %d pushes", w.Code, w.Body, source.confirm(nil))
	}
	if w := send("k", `{"user_id":"2","data":{}}`); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("another body: %d %s", w.Code, w.Body)
	}
	for _, key := range []string{"", strings.Repeat("k", maxIdempotencyKey+1)} {
		if w := send(key, one); w.Code != http.StatusBadRequest {
			t.Errorf("a key of %d bytes: %d", len(key), w.Code)
		}
	}
	// A wait that ends too early is no failure: the next request gets the result.
	in.confirm = time.Millisecond
	if w := send("late", one); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "unconfirmed") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	before := source.confirm(nil)
	in.confirm = 10 * time.Second
	if w := send("late", one); w.Code != http.StatusAccepted || source.confirm(nil) != before {
		t.Errorf("%d %s, %d pushes", w.Code, w.Body, source.confirm(nil))
	}
	// A failure is not remembered.
	failing := make(chan int)
	go func() { failing <- send("fails", one).Code }()
	eventually(t, patience, "a push", func() bool { return source.confirm(errors.New("broker")) == before+1 })
	if code := <-failing; code != http.StatusBadGateway {
		t.Errorf("status %d", code)
	}
	go func() { failing <- send("fails", one).Code }()
	eventually(t, patience, "a second push", func() bool { return source.confirm(nil) == before+2 })
	if code := <-failing; code != http.StatusAccepted {
		t.Errorf("status %d", code)
	}
	in.pending.Wait()
}

// TestPushNeedsItsKey goes through a listener of its own: the public one has no /push
// then.
func TestPushNeedsItsKey(t *testing.T) {
	r := start(t, "-push-addr", "127.0.0.1:0", "-push-key-file", fileWith(t, "the-key-of-the-producers"), "-push-rate", "3")
	if status, _ := post(t, r.url("/push"), `{"user_id":"1","data":{}}`); status != http.StatusMethodNotAllowed && status != http.StatusNotFound {
		t.Errorf("/push on the public listener: %d", status)
	}
	send := func(key string) (int, http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.pushListener.Addr().String()+"/push", strings.NewReader(`{"user_id":"1","data":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header
	}
	if status, header := send("another-key-of-someone"); status != http.StatusUnauthorized || header.Get("WWW-Authenticate") == "" {
		t.Errorf("a wrong key: %d", status)
	}
	for range 3 {
		if status, _ := send("the-key-of-the-producers"); status != http.StatusAccepted {
			t.Errorf("the right key: %d", status)
		}
	}
	if status, header := send("the-key-of-the-producers"); status != http.StatusTooManyRequests || header.Get("Retry-After") != "1" {
		t.Errorf("faster than allowed: %d %v", status, header)
	}
	http.DefaultClient.CloseIdleConnections()
	if sum := r.stop(); sum.Accepted != 3 || sum.Refused != 1 {
		t.Errorf("%+v", sum)
	}
}

func (*slowSource) crowded(push) bool { return false }

var _ source = (*slowSource)(nil)
