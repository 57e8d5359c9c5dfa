// Command deadletters looks at dead letters and plays their events back. It reads the
// files of a deadletter.File, also while they are being written, or a topic of a
// kafka.DeadLetters. docs/deadletters.md shows its use.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // something could not be read or played
	exitUsage  = 2 // the command line is wrong
)

const usage = `deadletters looks at events that have failed for good and plays them back.

  deadletters list  FILE      a table of the letters
  deadletters show  FILE N    letter N of that table, with its event
  deadletters count FILE      how many letters there are, by stage and error
  deadletters play  FILE -to URL              POST each event
  deadletters play  FILE -to -                each event as a line on standard output
  deadletters play  FILE -brokers B -topic T  each event as a record

FILE is the file of a deadletter.File, with those that were full before. Instead of FILE,
-brokers B -from T reads a Kafka topic of dead letters. Options may come anywhere:
deadletters COMMAND -h lists them.

The exit code is 0, 1 if something could not be read or played, or 2 for a wrong command
line.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// tool is one run of the command.
type tool struct {
	out, log io.Writer
	options
	failed bool // something could not be read or played
}

// usageError is the error of a wrong command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func wrong(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// run runs the command line and returns the exit code.
func run(ctx context.Context, args []string, out, log io.Writer) int {
	commands := map[string]func(*tool, context.Context) error{
		"list": (*tool).list, "show": (*tool).show, "count": (*tool).count, "play": (*tool).play,
	}
	if len(args) == 0 {
		fmt.Fprint(log, usage)
		return exitUsage
	}
	if args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help" {
		fmt.Fprint(out, usage)
		return exitOK
	}
	command, known := commands[args[0]]
	if !known {
		fmt.Fprintf(log, "deadletters: no command %q: use list, show, count or play\n", args[0])
		return exitUsage
	}
	t := &tool{out: out, log: log}
	err := t.parse(args[0], args[1:], out, log)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err == nil {
		err = command(t, ctx)
	}
	var bad *usageError
	switch {
	case errors.As(err, &bad):
		fmt.Fprintf(log, "deadletters %s: %v\n", args[0], err)
		return exitUsage
	case err != nil:
		fmt.Fprintf(log, "deadletters %s: %v\n", args[0], err)
		return exitFailed
	case t.failed:
		return exitFailed
	}
	return exitOK
}
