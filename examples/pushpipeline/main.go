package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// main ends with the exit code of command, which tests call too.
func main() {
	os.Exit(command(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// command is the program. It returns the exit code: 0 after an orderly end, 1 after
// a failure, 2 for a wrong command line or one of its files.
func command(args []string, env environment, stdout, stderr io.Writer) int {
	cfg, err := parseConfig(args, env, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	// parseConfig has written the message.
	case err != nil:
		return 2
	}
	stderr = &sharedWriter{w: stderr}
	log := newLogger(cfg, stderr)
	warnUnread(log, cfg.Unread)
	defer allowGarbage(cfg.GCFloorMiB)()

	// The first signal ends in order, the second at once.
	hard, abort := context.WithCancel(context.Background())
	defer abort()
	ctx, end := context.WithCancel(hard)
	defer end()
	// Room for two, since signal.Notify drops what it cannot send.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	// Closed when command returns, which ends the goroutine below.
	finished := make(chan struct{})
	defer close(finished)
	go heed(signals, finished, end, func() {
		log.Error("second signal: ending at once")
		os.Exit(1)
	})

	// Each run makes its own app.
	if cfg.Fairness {
		if err := compare(ctx, cfg, log, stdout, stderr); err != nil {
			log.Error("ended with a failure", "error", err)
			return 1
		}
		return 0
	}
	a, err := newApp(cfg, log)
	if err != nil {
		log.Error("could not start", "error", err)
		return 1
	}
	sum, err := a.run(ctx, hard, newProgress(forPeople(stderr), stderr, log, ""))
	// The summary is printed after a failure too.
	print := sum.print
	if cfg.JSON {
		print = sum.printJSON
	}
	if printErr := print(stdout); printErr != nil {
		err = errors.Join(err, printErr)
	}
	if err != nil {
		log.Error("ended with a failure", "error", err)
		return 1
	}
	return 0
}

// newLogger logs as text to a terminal and as JSON to a file or a pipe. Another
// writer, as in tests, gets text.
func newLogger(cfg config, w io.Writer) *slog.Logger {
	level, _ := logLevel(cfg.LogLevel) // validated
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		// As in the options: JSON would have nanoseconds.
		if a.Value.Kind() == slog.KindDuration {
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		return a
	}}
	if !forPeople(w) {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// logLevel parses the value of -log-level.
func logLevel(name string) (level slog.Level, err error) {
	if err = level.UnmarshalText([]byte(name)); err != nil {
		err = fmt.Errorf("-log-level %q is not allowed: debug, info, warn or error", name)
	}
	return level, err
}

// newOrigin makes a name for this process that no other has had.
func newOrigin() string {
	// 48 random bits, which is enough to tell runs apart.
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
