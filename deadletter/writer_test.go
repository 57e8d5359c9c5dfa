package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/retry"
)

var quiet = slog.New(slog.DiscardHandler)

// start runs a writer and returns a function that waits for the result of Run.
func start(ctx context.Context, w *Writer) (result func() error) {
	ch := make(chan error, 1)
	go func() { ch <- w.Run(ctx) }()
	return func() error { return <-ch }
}

func newWriter(t *testing.T, sink Sink, cfg WriterConfig) *Writer {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	w, err := NewWriter(sink, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// check fails unless Sent is Stored + Waiting + Left.
func check(t *testing.T, s WriterSnapshot) {
	t.Helper()
	if s.Sent != s.Stored+int64(s.Waiting)+s.Left {
		t.Errorf("sent is not stored + waiting + left: %+v", s)
	}
}

// Whatever a sink does, letters are stored in order and each done is called once, after
// that, and the account holds at every step.
func TestWriterStoresAllInOrder(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			var w *Writer
			var stored []string
			known := map[string]bool{}
			doneOf := map[string]int{}
			sink := SinkFunc(func(ctx context.Context, letters []Letter) error {
				check(t, w.Snapshot())
				if len(letters) == 0 || len(letters) > 7 {
					t.Errorf("seed %d: %d letters at once", seed, len(letters))
				}
				switch r.IntN(6) {
				case 0:
					return io.ErrUnexpectedEOF
				case 1:
					panic("sink")
				case 2:
					return retry.Never(io.EOF) // no end all the same
				case 3:
					return retry.Later(io.EOF, time.Minute)
				case 4:
					<-ctx.Done() // as long as the writer lets it
					return ctx.Err()
				}
				time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
				for _, l := range letters {
					stored = append(stored, l.Key)
					known[l.Key] = true
				}
				return nil
			})
			w = newWriter(t, sink, WriterConfig{MaxBatch: 7, Timeout: time.Second})
			result := start(t.Context(), w)
			var senders sync.WaitGroup
			const each = 50
			for s := range 3 {
				pauses := rand.New(rand.NewPCG(seed, uint64(s)+10))
				senders.Go(func() {
					for i := range each {
						key := fmt.Sprintf("%d/%02d", s, i)
						w.Send(Letter{Key: key}, func() {
							if doneOf[key]++; doneOf[key] > 1 || !known[key] {
								t.Errorf("seed %d: done of %s, call %d, stored %t", seed, key, doneOf[key], known[key])
							}
							check(t, w.Snapshot())
						})
						time.Sleep(time.Duration(pauses.IntN(20)) * time.Millisecond)
						check(t, w.Snapshot())
					}
				})
			}
			senders.Wait()
			if err := w.Close(t.Context()); err != nil {
				t.Errorf("seed %d: Close: %v", seed, err)
			}
			if err := result(); err != nil {
				t.Errorf("seed %d: Run: %v", seed, err)
			}
			if s := w.Snapshot(); len(stored) != 3*each || len(doneOf) != 3*each || s.Stored != 3*each || s.Waiting != 0 || s.Left != 0 {
				t.Errorf("seed %d: stored %d, done %d, %+v", seed, len(stored), len(doneOf), s)
			}
			last := map[byte]string{}
			for _, key := range stored {
				if key <= last[key[0]] {
					t.Errorf("seed %d: %s came after %s", seed, key, last[key[0]])
				}
				last[key[0]] = key
			}
		})
	}
}

func TestWriterGathersWhileItWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		w := newWriter(t, SinkFunc(func(_ context.Context, letters []Letter) error {
			sizes = append(sizes, len(letters))
			time.Sleep(time.Second)
			return nil
		}), WriterConfig{MaxBatch: 5})
		result := start(t.Context(), w)
		w.Send(Letter{}, nil)
		synctest.Wait()
		for range 8 {
			w.Send(Letter{}, nil)
		}
		if err := errors.Join(w.Close(t.Context()), result()); err != nil {
			t.Error(err)
		}
		if fmt.Sprint(sizes) != "[1 5 3]" {
			t.Errorf("batches of %v", sizes)
		}
	})
}

func TestWriterLeavesWhatIsNotStored(t *testing.T) {
	broken := SinkFunc(func(context.Context, []Letter) error { return io.ErrClosedPipe })
	hung := SinkFunc(func(ctx context.Context, _ []Letter) error { <-ctx.Done(); return ctx.Err() })
	ends := map[string]func(w *Writer, cancel func()) error{
		"context": func(_ *Writer, cancel func()) error { cancel(); return ErrNotStored },
		"close": func(w *Writer, _ func()) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return w.Close(ctx)
		},
	}
	for name, end := range ends {
		for kind, sink := range map[string]Sink{"broken": broken, "hung": hung} {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				w := newWriter(t, sink, WriterConfig{Logger: slog.New(slog.NewTextHandler(&log, nil)), Stage: "s"})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				result := start(ctx, w)
				for range 3 {
					w.Send(Letter{}, func() { t.Error("done of a letter that is not stored") })
				}
				time.Sleep(time.Minute)
				if err := end(w, cancel); !errors.Is(err, ErrNotStored) {
					t.Errorf("%s, %s: Close returns %v", name, kind, err)
				}
				if err := result(); !errors.Is(err, ErrNotStored) || kind == "broken" && !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("%s, %s: Run returns %v", name, kind, err)
				}
				w.Send(Letter{}, func() { t.Error("done of a letter that came late") })
				s := w.Snapshot()
				if check(t, s); s.Left != 4 || s.Waiting != 0 || s.Errors == 0 || s.LastError == "" {
					t.Errorf("%s, %s: %+v", name, kind, s)
				}
				for _, want := range []string{"not stored; their events have no receipt", "letters=3", "came after the end"} {
					if !strings.Contains(log.String(), want) {
						t.Errorf("%s, %s: the log has no %q:\n%s", name, kind, want, &log)
					}
				}
			})
		}
	}
}

func TestWriterLogsOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var failing atomic.Bool
		failing.Store(true)
		w := newWriter(t, SinkFunc(func(context.Context, []Letter) error {
			time.Sleep(10 * time.Millisecond)
			if failing.Load() {
				return io.ErrShortWrite
			}
			return nil
		}), WriterConfig{Backoff: retry.NoPause, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		result := start(t.Context(), w)
		w.Send(Letter{}, nil)
		w.Send(Letter{}, nil)
		time.Sleep(10*time.Second + 5*time.Millisecond)
		failing.Store(false)
		if err := errors.Join(w.Close(t.Context()), result()); err != nil {
			t.Error(err)
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) < 10 || len(lines) > 13 || !strings.Contains(lines[len(lines)-1], "stored again") || !strings.Contains(lines[5], "waiting=2") {
			t.Errorf("%d lines:\n%s", len(lines), &log)
		}
		if s := w.Snapshot(); s.Errors < 900 || s.Failing != 0 || s.LastError != io.ErrShortWrite.Error() {
			t.Errorf("%+v", s)
		}
	})
}

func TestWriterMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metricstest.New()
		tag := metrics.Tag{Key: "stage", Value: "rows"}
		var failing atomic.Bool
		failing.Store(true)
		w := newWriter(t, SinkFunc(func(context.Context, []Letter) error {
			if failing.Load() {
				return io.EOF
			}
			return nil
		}), WriterConfig{Metrics: m, Stage: "rows"})
		result := start(t.Context(), w)
		for range 3 {
			w.Send(Letter{}, nil)
		}
		time.Sleep(time.Minute)
		if v, _ := m.Value("pipeline.dead_letters_waiting", tag); v != 3 {
			t.Errorf("%v wait", v)
		}
		failing.Store(false)
		if err := errors.Join(w.Close(t.Context()), result()); err != nil {
			t.Error(err)
		}
		if v, _ := m.Value("pipeline.dead_letters_waiting", tag); v != 0 {
			t.Errorf("at the end %v wait", v)
		}
		if n, e := m.Count("pipeline.dead_letters", tag), m.Count("pipeline.dead_letter_errors", tag); n != 3 || e < 5 {
			t.Errorf("%d stored, %d errors", n, e)
		}
	})
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// A sink that never returns, or ends the goroutine, is bounded and not silent.
func TestWriterSurvivesItsSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		release := make(chan struct{})
		w := newWriter(t, SinkFunc(func(context.Context, []Letter) error { <-release; return nil }),
			WriterConfig{Timeout: time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		result := start(t.Context(), w)
		w.Send(Letter{}, nil)
		time.Sleep(3 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, ErrNotStored) || !errors.Is(err, ErrHung) {
			t.Errorf("Close returns %v", err)
		}
		if !strings.Contains(log.String(), "does not return") {
			t.Errorf("the log has no line about the write:\n%s", &log)
		}
		close(release)
		_ = result()
	})
	synctest.Test(t, func(t *testing.T) {
		writes, stored := 0, false
		w := newWriter(t, SinkFunc(func(context.Context, []Letter) error {
			if writes++; writes == 1 {
				runtime.Goexit()
			}
			return nil
		}), WriterConfig{})
		go func() { _ = w.Run(t.Context()) }()
		w.Send(Letter{}, func() { stored = true })
		if err := w.Close(t.Context()); err != nil || writes != 2 || !stored {
			t.Errorf("a write that ends its goroutine: %v, %d writes, stored %v", err, writes, stored)
		}
	})
}

func TestWriterRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := SinkFunc(func(context.Context, []Letter) error { return nil })
		w := newWriter(t, store, WriterConfig{})
		result := start(t.Context(), w)
		synctest.Wait()
		if err := w.Run(t.Context()); !errors.Is(err, ErrSecondRun) {
			t.Errorf("the second Run returns %v", err)
		}
		w.Send(Letter{}, func() { panic("done") }) // is logged
		if err := errors.Join(w.Close(t.Context()), result(), w.Close(t.Context())); err != nil {
			t.Error(err)
		}

		w = newWriter(t, store, WriterConfig{})
		if err := errors.Join(w.Close(t.Context()), w.Run(t.Context())); err != nil {
			t.Errorf("a writer that is closed before it runs: %v", err)
		}

		w = newWriter(t, store, WriterConfig{})
		w.Send(Letter{}, nil)
		go func() {
			time.Sleep(time.Minute)
			_ = w.Run(t.Context())
		}()
		if err := w.Close(t.Context()); err != nil {
			t.Errorf("Close does not wait for Run to begin: %v", err)
		}

		w = newWriter(t, store, WriterConfig{})
		w.Send(Letter{}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, ErrNotStored) {
			t.Errorf("a writer that never runs: %v", err)
		}
		check(t, w.Snapshot())
	})
}
