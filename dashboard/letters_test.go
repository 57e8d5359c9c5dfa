package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/deadletter"
)

// letter returns the letter of a number.
func letter(n int) deadletter.Letter {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return deadletter.Letter{Stage: "s", Event: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n)), Error: "<e>", Attempts: 2, First: at, Last: at}
}

func withLetters(t *testing.T, cfg Config, l LettersConfig) *program {
	t.Helper()
	cfg.Logger = quiet
	d, err := New(cfg, DeadLetters("letters", l))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &program{d: d}
}

// page asks for a page and returns the numbers of its letters.
func (g *program) page(t *testing.T, query string) (p page, numbers []int) {
	t.Helper()
	w := g.get("GET", "/letters?part=0"+query, "")
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 {
		t.Fatal(w.Code, err, w.Body.String())
	}
	for _, l := range p.Letters {
		var e struct{ N int }
		_ = json.Unmarshal(l.Event, &e)
		numbers = append(numbers, e.N)
	}
	return p, numbers
}

func (g *program) replay(ids ...string) (status int, done replayed) {
	body, _ := json.Marshal(replay{"0", ids})
	w := g.get("POST", "/letters", string(body), "Content-Type", asJSON)
	_ = json.Unmarshal(w.Body.Bytes(), &done)
	return w.Code, done
}

// TestLettersOfAFile: the newest come first, over the files that were full, and lines that
// hold no letter hide none.
func TestLettersOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead")
	f, err := deadletter.NewFile(path, deadletter.FileConfig{MaxBytes: 2000, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var played []int
	g := withLetters(t, Config{Allow: everybody}, LettersConfig{Path: path, Play: func(_ ctx, l deadletter.Letter) error {
		var e struct{ N int }
		if err := json.Unmarshal(l.Event, &e); err != nil || e.N == 13 {
			return errors.New("unlucky")
		}
		played = append(played, e.N)
		return nil
	}})
	if _, n := g.page(t, ""); len(n) != 0 {
		t.Error(n)
	}
	for i := range 60 {
		if err := f.Write(t.Context(), []deadletter.Letter{letter(i)}); err != nil {
			t.Fatal(err)
		}
		if i%20 == 0 {
			if s := g.get("GET", "/state", "").Body.String(); !strings.Contains(s, fmt.Sprintf(`"data":{"stored":%d,"playable":true}`, i+1)) {
				t.Error(s)
			}
		}
	}
	if paths, _ := deadletter.Files(path); len(paths) < 3 {
		t.Fatal(paths)
	}
	if s := g.get("GET", "/state", "").Body.String(); !strings.Contains(s, `"stored":60`) {
		t.Error(s)
	}
	p, n := g.page(t, "")
	if len(n) != 50 || n[0] != 59 || n[49] != 10 || p.LeftOff != 10 || p.Letters[0].Error != "<e>" {
		t.Error(n, p.LeftOff)
	}
	if p, n := g.page(t, "&offset=50&limit=7"); !slices.Equal(n, []int{9, 8, 7, 6, 5, 4, 3}) || p.LeftOff != 53 {
		t.Error(n, p.LeftOff)
	}
	if _, n := g.page(t, "&limit=0"); len(n) != 0 {
		t.Error(n)
	}
	for _, query := range []string{"limit=201", "limit=x", "offset=-1"} {
		if w := g.get("GET", "/letters?part=0&"+query, ""); w.Code != 400 {
			t.Error(query, w.Code)
		}
	}
	id := func(n int) string { return p.Letters[59-n].ID }
	if status, done := g.replay(id(30), id(20), id(30)); status != 200 || done.Played != 2 || !slices.Equal(played, []int{20, 30}) {
		t.Error(status, done, played)
	}
	if status, done := g.replay(id(30)); status != 200 || done.Played != 0 || done.Skipped != 1 {
		t.Error(status, done)
	}
	if p, _ := g.page(t, ""); !p.Letters[29].Played || p.Letters[28].Played {
		t.Error("what was played back is not marked")
	}
	if status, done := g.replay(id(12), id(13), id(14)); status != 409 || done.Played != 1 || done.Error != "unlucky" {
		t.Error(status, done)
	}
	if status, done := g.replay("none"); status != 404 || done.Error == "" {
		t.Error(status, done)
	}
	if status, _ := g.replay(); status != 400 {
		t.Error(status)
	}
}

// TestLettersOfAFunction: large events are cut, and playing back needs a function and
// permission.
func TestLettersOfAFunction(t *testing.T) {
	large := letter(1)
	large.Event = json.RawMessage(`"` + strings.Repeat("x", 2*maxEvent) + `"`)
	broken := letter(2)
	broken.Event = json.RawMessage("{")
	all := []deadletter.Letter{large, broken}
	read := func() iter.Seq2[deadletter.Letter, error] {
		return func(yield func(deadletter.Letter, error) bool) {
			for _, l := range all {
				if !yield(l, nil) {
					return
				}
			}
		}
	}
	cfg := LettersConfig{Read: read, Count: func() int { return len(all) }}
	g := withLetters(t, Config{}, cfg)
	p, _ := g.page(t, "")
	if len(p.Letters) != 2 || string(p.Letters[0].Event) != `"{"` || p.Letters[1].Bytes != 2*maxEvent+2 || len(p.Letters[1].Event) > maxEvent+10 {
		t.Errorf("%+v", p)
	}
	if status, _ := g.replay(p.Letters[0].ID); status != 403 {
		t.Error(status)
	}
	if status, done := withLetters(t, Config{Allow: everybody}, cfg).replay(p.Letters[0].ID); status != 409 || !strings.Contains(done.Error, "cannot be played back") {
		t.Error(status, done)
	}
	cfg.Play = func(ctx, deadletter.Letter) error { panic("no") }
	if status, done := withLetters(t, Config{Allow: everybody}, cfg).replay(p.Letters[0].ID); status != 409 || !strings.Contains(done.Error, "panic") {
		t.Error(status, done)
	}
	cfg.Read = func() iter.Seq2[deadletter.Letter, error] {
		return func(yield func(deadletter.Letter, error) bool) { yield(deadletter.Letter{}, os.ErrPermission) }
	}
	if w := withLetters(t, Config{}, cfg).get("GET", "/letters?part=0", ""); w.Code != 409 {
		t.Error(w.Code, w.Body.String())
	}
	for _, wrong := range []LettersConfig{{}, {Read: read}, {Path: "x", Read: read}, {Path: "x", Count: cfg.Count}} {
		if _, err := New(Config{}, DeadLetters("x", wrong)); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
}

// TestCountAfterRotation: a file that was renamed is counted under its new name and the one
// after it from its beginning, although an older one was deleted since the last count.
func TestCountAfterRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead")
	write := func(path string, lines int, line string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(strings.Repeat(line+"\n", lines)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path+".000001", 1, "{}")
	write(path+".000002", 10, "{}")
	write(path, 3, "a longer line")
	s := &fileStore{path: path}
	count := func(want int64) {
		t.Helper()
		if n, err := s.count(); err != nil || n != want {
			t.Errorf("%d letters, not %d: %v", n, want, err)
		}
	}
	count(14)
	if err := errors.Join(os.Remove(path+".000001"), os.Rename(path, path+".000003")); err != nil {
		t.Fatal(err)
	}
	write(path, 50, "{}")
	count(10 + 3 + 50)
	// Another file in the place of one.
	write(path+".new", 20, "{}")
	if err := os.Rename(path+".new", path+".000003"); err != nil {
		t.Fatal(err)
	}
	count(10 + 20 + 50)
	if err := errors.Join(os.Remove(path+".000002"), os.Remove(path+".000003")); err != nil {
		t.Fatal(err)
	}
	if count(50); len(s.known) != 1 {
		t.Errorf("%d files are known of 1", len(s.known))
	}
}
