package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
)

// sharedWriter is a writer for several goroutines: those that log and the one that writes
// the progress.
type sharedWriter struct {
	mu sync.Mutex // held during a Write
	w  io.Writer
}

// Write implements io.Writer.
func (s *sharedWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// progressEvery is the number of seconds between two lines of progress in a log.
const progressEvery = 10

// forPeople reports whether w is a terminal. A writer that is not a file, as in tests,
// counts as one.
func forPeople(w io.Writer) bool {
	if shared, ok := w.(*sharedWriter); ok {
		w = shared.w
	}
	f, ok := w.(*os.File)
	if !ok {
		return true
	}
	info, err := f.Stat()
	return err != nil || info.Mode()&os.ModeCharDevice != 0
}

// newProgress returns what reports the status, which comes once a second: as a line of
// text on a terminal, after title if there is one; as a line of the log every ten seconds
// otherwise, so that a file or a collector of logs gets nothing but its records.
func newProgress(terminal bool, w io.Writer, log *slog.Logger, title string) func(status) {
	if terminal {
		if title != "" {
			title += " "
		}
		return func(s status) { fmt.Fprintln(w, title+s.line()) }
	}
	if title != "" {
		log = log.With("run", title)
	}
	due := float64(progressEvery)
	return func(s status) {
		// The status comes a little later each time: half a second early is in time.
		if s.Uptime < due-0.5 {
			return
		}
		due = s.Uptime + progressEvery
		log.Info("progress", "uptime_s", int(s.Uptime+0.5), "in_per_s", int(s.Rate.In+0.5), "out_per_s", int(s.Rate.Out+0.5),
			"accepted", s.Accepted, "delivered", s.Delivered, "in_flight", s.InFlight, "queued", s.Queued,
			"backlog", s.Backlog, "p99_ms", s.LightTimes.P99, "p99_heavy_ms", s.HeavyTimes.P99,
			"discarded", sum(s.Discarded), "refused", s.Refused, "connections", s.Connections)
	}
}
