package otlp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestShutdownIsSideBySide: a collector that does not respond delays no other, and what was not
// sent is logged.
func TestShutdownIsSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		sent := 0
		var lines bytes.Buffer
		s := &Sender{
			log:  slog.New(slog.NewTextHandler(&lines, nil)),
			stop: []func(context.Context) error{silent, silent, func(context.Context) error { sent++; return errors.New("refused") }},
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		s.Shutdown(ctx)
		if took := time.Since(begin); took != time.Second || sent != 1 {
			t.Errorf("it took %v; %d were sent", took, sent)
		}
		if n := strings.Count(lines.String(), "were not sent"); n != 3 {
			t.Errorf("%d lines, want one for each that failed:\n%s", n, &lines)
		}
		s.Shutdown(ctx) // has nothing left to do
		if sent != 1 {
			t.Error("it was ended twice")
		}
	})
}

// TestWithoutFlags: nothing is made.
func TestWithoutFlags(t *testing.T) {
	s, err := Flags{Sample: 1}.Open("shop", "a", slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil || s.Tracer != nil || s.Recorder != nil || len(s.stop) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	s.Shutdown(t.Context())
}

// TestCheck: a fault names its flag, and has nothing of the value, which may be a password.
func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		flags Flags
		want  string
	}{
		{Flags{}, ""},
		{Flags{Traces: "http://localhost:4318/v1/traces", Metrics: "https://host/v1/metrics", Sample: 1}, ""},
		{Flags{Traces: "localhost:4318"}, "-otlp is not a URL"},
		{Flags{Metrics: "ftp://secret@host"}, "-otlp-metrics is not a URL"},
		{Flags{Metrics: "https://u:secret@host"}, "OTEL_EXPORTER_OTLP_HEADERS"},
		{Flags{Sample: 1.5}, "-trace-sample 1.5"},
		{Flags{Sample: -1}, "-trace-sample -1"},
	} {
		err := tc.flags.Check()
		if (err == nil) != (tc.want == "") || err != nil && (!strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%+v: %v, want %q", tc.flags, err, tc.want)
		}
	}
}
