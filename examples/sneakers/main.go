package main

import (
	"context"
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
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// The second signal ends the program at once, as it does without this.
	context.AfterFunc(ctx, stop)
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// command is the program. It returns the exit code: 0 after an orderly end, 1 after a
// failure, 2 for a wrong command line or one of its files.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parseConfig(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	level, _ := logLevel(cfg.LogLevel) // validated
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	if cfg.For > 0 && cfg.Shoppers == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.For)
		defer cancel()
	}
	if cfg.Shoppers > 0 {
		err = shopping(ctx, cfg, log, stdout, stderr)
	} else {
		err = open(ctx, cfg, log, stdout)
	}
	if err != nil {
		log.Error("ended with a failure", "error", err)
		return 1
	}
	return 0
}

// open keeps the shop open until ctx is done.
func open(ctx context.Context, cfg config, log *slog.Logger, stdout io.Writer) error {
	a, err := newApp(ctx, cfg, log)
	if err != nil {
		return err
	}
	return a.run(ctx, func() {
		fmt.Fprintf(stdout, "The shop:  %s/\nThe admin: %s/admin\n", a.address(), a.address())
		if cfg.MadeUpPassword {
			fmt.Fprintf(stdout, "           user %s, password %s\n", adminName, cfg.AdminPassword)
		}
	})
}
