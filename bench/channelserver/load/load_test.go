//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/internal/ports"
)

// built compiles the server once.
var built = sync.OnceValues(func() (string, error) { return buildServer(context.Background(), binaries) })

// testOptions are those of a small run with a server of its own.
func testOptions(t *testing.T, args ...string) options {
	t.Helper()
	var errs bytes.Buffer
	o, err := parse(append([]string{"-conns", "40"}, args...), &errs)
	if err != nil {
		t.Fatal(err, errs.String())
	}
	if o.binary, err = built(); err != nil {
		t.Fatal(err)
	}
	o.server = ports.For(t, 1).Addr(0)
	return o
}

// TestModes makes each measurement in small.
func TestModes(t *testing.T) {
	for _, test := range []struct {
		args string
		want []string
	}{
		{"-mode idle -hold 20ms", []string{`40 clients have joined in .*; resident for each: \S+ KB`}},
		{"-mode room -rounds 50", []string{`2000 deliveries in .*/s, .* of the server's CPU each`, `latency p50 .*, p99 .*, longest`}},
		{"-mode room -rounds 5 -rate 50 -repeat 2", []string{`200 deliveries`, `200 deliveries`}},
		{"-mode users -rounds 20 -workers 3", []string{`800 deliveries`}},
		{"-mode users -rounds 5 -rate 2000 -loops 1", []string{`200 deliveries .*; made at (\d{1,3}|1\d{3}|20\d\d)/s`}}, // never faster, but slower on a busy machine
		{"-mode echo -rounds 5 -rate 2000", []string{`200 deliveries .*; made at \d+/s`, `latency p50 .*, p99 .*, longest`}},
		{"-mode pipeline -rounds 20", []string{`800 deliveries`}},
		// Not before the write timeout of 5 s, and on a quiet machine not long after: it has begun with the last burst or before.
		{"-mode stalled -rounds 3 -rate 20", []string{`4 clients stopped reading and were gone after ([5-9]|\d\d)\.\d+ s, [0-6]\.\d+ s after the last`, `without: .* p99`, `with: .* p99`}},
		{"-mode reconnect", []string{`40 clients have come back in`}},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t, strings.Fields(test.args)...)
			s, err := startServer(t.Context(), o.binary, o.server)
			if err != nil {
				t.Fatal(err)
			}
			defer s.stop()
			var out bytes.Buffer
			if err := single(t.Context(), o, &out); err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				at := regexp.MustCompile(want).FindIndex(out.Bytes())
				if at == nil {
					t.Fatalf("no %q in\n%s", want, out.String())
				}
				out.Next(at[1])
			}
		})
	}
}

// TestServerThatStaysSilent: what does not come is an error, soon.
func TestServerThatStaysSilent(t *testing.T) {
	t.Parallel()
	o := testOptions(t, "-mode", "room", "-quiet", "200ms")
	err := withServer(t.Context(), o, roomTopic, 0, nil, func(b *bench, _ idle) error {
		_, err := b.load(t.Context(), "/broadcast?topic=room:other&count=3", 120, 0)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "0 of 120 deliveries, and no more in 2") {
		t.Errorf("%v", err)
	}
}

func TestNoServer(t *testing.T) {
	o := testOptions(t)
	if err := single(t.Context(), o, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "tokens: ") {
		t.Errorf("%v", err)
	}
}

// TestPortInUse: the suite must not measure another server on the same port.
// A part of the suite that fails does not keep the others from being tried and printed.
func TestSuiteGoesOnAfterAFailure(t *testing.T) {
	o := testOptions(t)
	o.binary = filepath.Join(t.TempDir(), "none")
	var out bytes.Buffer
	err := suite(t.Context(), o, &out)
	if err == nil || out.Len() == 0 {
		t.Fatalf("%v, printed %q", err, out.String())
	}
	for _, part := range []string{"idle: ", "idle in event loops: ", "pushes to each user: ", "a room: ", "stalled readers: ", "reconnect: "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	s, err := startServer(t.Context(), o.binary, o.server)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	if _, err := startServer(t.Context(), o.binary, o.server); err == nil || !strings.Contains(err.Error(), "another server listens") {
		t.Errorf("%v", err)
	}
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-mode walk":      `-mode is "walk", allowed: idle, memory, room, users, echo, pipeline, stalled, reconnect`,
		"-conns 0":        "-conns is 0, allowed: 1 or more",
		"-rate -1":        "-rate is -1, allowed: 0 or more",
		"-conns 99999999": "-conns is 99999999, allowed: up to",
		"-suite now":      `unexpected argument "now"`,
	} {
		if _, err := parse(strings.Fields(args), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	var help bytes.Buffer
	if _, err := parse([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
	for name := range modes {
		if !strings.Contains(help.String(), name) {
			t.Errorf("-h does not tell of the mode %s", name)
		}
	}
}

// TestTable pins what decides between met and missed.
func TestTable(t *testing.T) {
	var table table
	table.add("a", "<= 1", "0.5", true)
	table.add("b", "<= 1", "2", false)
	want := "| what | target | measured | |\n|---|---|---|---|\n| a | <= 1 | 0.5 | met |\n| b | <= 1 | 2 | **missed** |\n"
	if table.String() != want {
		t.Errorf("%s", table.String())
	}
	slow := delivered{offered: 1000, made: 990}
	slow.others = 0.3
	if v := slow.remark(); v != " (void: only 990/s were made) (other processes had 30 % of the machine)" {
		t.Errorf("%q", v)
	}
	if v := (delivered{made: 5}).remark(); v != "" {
		t.Errorf("flat out: %q", v)
	}
}

func TestUsage(t *testing.T) {
	before, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < 50*time.Millisecond; {
	}
	after, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after.resident < 1<<20 || after.cpu <= before.cpu || after.others < 0 {
		t.Errorf("%+v, then %+v", before, after)
	}
	if share := after.othersSince(before); share < 0 || share > 1 {
		t.Errorf("others had %v", share)
	}
	if _, err := usageOf(1 << 30); err == nil {
		t.Error("a process that is not there has usage")
	}
	http.DefaultClient.CloseIdleConnections()
}
