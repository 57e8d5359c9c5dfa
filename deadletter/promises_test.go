package deadletter

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/retry"
)

// The pause after a failed write doubles up to MaxBackoff and is up to a fifth shorter; what
// its error asks for makes it longer. After a write that has succeeded it begins anew.
func TestPausesOfAWriter(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  WriterConfig
		err  error
		most []time.Duration
	}{
		"default": {WriterConfig{}, io.EOF, []time.Duration{
			100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
			1600 * time.Millisecond, 3200 * time.Millisecond, 6400 * time.Millisecond, 10 * time.Second, 10 * time.Second,
		}},
		"bounded":     {WriterConfig{Backoff: time.Second, MaxBackoff: 3 * time.Second}, io.EOF, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}},
		"beyond 10 s": {WriterConfig{Backoff: time.Minute}, io.EOF, []time.Duration{time.Minute, time.Minute}},
		"after":       {WriterConfig{}, retry.After(io.EOF, time.Hour), []time.Duration{72 * time.Minute, 72 * time.Minute}},
		"later":       {WriterConfig{}, retry.Later(io.EOF, time.Hour), []time.Duration{72 * time.Minute, 72 * time.Minute}},
		"none":        {WriterConfig{Backoff: retry.NoPause}, io.EOF, []time.Duration{0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var pauses []time.Duration
				writes, last := 0, time.Now()
				w := newWriter(t, SinkFunc(func(context.Context, []Letter) error {
					if writes++; writes%(len(c.most)+1) != 1 {
						pauses = append(pauses, time.Since(last))
					}
					last = time.Now()
					if writes%(len(c.most)+1) == 0 {
						return nil
					}
					return c.err
				}), c.cfg)
				result := start(t.Context(), w)
				for range 2 {
					stored := make(chan struct{})
					w.Send(Letter{}, func() { close(stored) })
					<-stored
				}
				if err := errors.Join(w.Close(t.Context()), result()); err != nil || len(pauses) != 2*len(c.most) {
					t.Fatalf("%v, pauses %v", err, pauses)
				}
				for i, pause := range pauses {
					if most := c.most[i%len(c.most)]; pause > most || pause < most*4/5 {
						t.Errorf("pause %d is %v, not %v or a fifth less", i, pause, most)
					}
				}
			})
		})
	}
}

// Close of a file is the end of its writes: what comes later fails, and is not in it.
func TestFileIsClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters")
	f, err := NewFile(path, FileConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Write(t.Context(), []Letter{{Key: "a"}}), f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(t.Context(), []Letter{{Key: "b"}}); err == nil {
		t.Error("a write after Close succeeds")
	}
	n := 0
	for l, err := range ReadFile(path) {
		if n++; err != nil || l.Key != "a" {
			t.Errorf("%+v, %v", l, err)
		}
	}
	if n != 1 {
		t.Errorf("%d letters", n)
	}
}
