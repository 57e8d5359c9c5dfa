package main

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/penstock-go/penstock/metrics"
)

// TestBodiesOfOneProducer: large bodies of a producer, whatever addresses they come
// from, leave room for those of others, and small ones always have room.
func TestBodiesOfOneProducer(t *testing.T) {
	const secret = "a secret of more than thirty-two bytes"
	p, err := loadProducers("", fileWith(t, secret))
	if err != nil {
		t.Fatal(err)
	}
	in := newIntake(&stubSource{}, newLedger(metrics.Nop(), ""), p, 0, slog.New(slog.DiscardHandler))
	in.setOpen(true)
	post := func(producer string, body io.Reader) int {
		tok, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims(func(c *jwt.RegisteredClaims) { c.Subject = producer })).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/push", body)
		r.Header.Set("Authorization", "Bearer "+tok)
		in.ServeHTTP(w, r)
		return w.Code
	}
	// Each stays under way, with all but its last byte sent.
	ends, refused := make(chan int, 100), 0
	for range 40 {
		stay, begun := make(chan struct{}), make(chan struct{})
		defer close(stay)
		go func() {
			ends <- post("attacker", io.MultiReader(strings.NewReader("["+strings.Repeat(" ", maxBody-100)), hook(func() { close(begun); <-stay })))
		}()
		select {
		case <-begun:
		case code := <-ends:
			refused++
			if code != http.StatusServiceUnavailable {
				t.Errorf("status %d", code)
			}
		}
	}
	if got := 40 - refused; got < 8 || got > 9 {
		t.Errorf("%d bodies of one producer are under way, want half of %d", got, maxBodies/maxBody)
	}
	const one = `{"user_id":"1","data":{}}`
	for producer, body := range map[string]string{
		"honest": strings.Repeat(" ", maxBody-len(one)) + one, "attacker": one,
	} {
		if code := post(producer, strings.NewReader(body)); code != http.StatusAccepted {
			t.Errorf("%d bytes of %s: %d", len(body), producer, code)
		}
	}
}

// hook is a reader that calls a function and ends.
type hook func()

// Read implements io.Reader.
func (h hook) Read([]byte) (int, error) { h(); return 0, io.EOF }

// TestRoomOfOneProducer: a producer takes up what it leaves to the others.
func TestRoomOfOneProducer(t *testing.T) {
	r := newRoom(roomLimits{pushes: 90, bytes: 1 << 20, userPushes: 90, userBytes: 1 << 20})
	took := make(map[string]int)
	var in []push
	for _, by := range []string{"flood", "honest", "another", ""} {
		for {
			p := []push{{User: "1", By: by}}
			if err := r.take(p); err != nil {
				if want := map[bool]error{true: errFull, false: errShareFull}[by == ""]; !errors.Is(err, want) {
					t.Errorf("%q: %v, want %v", by, err, want)
				}
				break
			}
			took[by]++
			in = append(in, p...)
		}
	}
	if took["flood"] != 45 || took["honest"] != 23 || took["another"] != 11 || took[""] != 11 {
		t.Errorf("%v", took)
	}
	for _, p := range in {
		r.free(p)
	}
	if r.held() != (usage{}) || len(r.by) != 0 {
		t.Errorf("%+v and %d producers are left", r.held(), len(r.by))
	}
}
