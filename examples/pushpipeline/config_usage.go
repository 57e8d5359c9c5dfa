package main

import (
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// printUsage prints the help: each flag with its default and its variable.
func printUsage(fs *flag.FlagSet, out io.Writer) {
	fmt.Fprint(out, `Pushpipeline delivers pushes to users' WebSocket channels through a fair dispatcher.

Usage: pushpipeline [options]

Each option can also be given by the environment variable named after it; the option wins.

`)
	fs.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(unexplained(f))
		fmt.Fprintf(out, "  -%s %s\n    \t%s", f.Name, value, text)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" {
			fmt.Fprintf(out, " (default %s)", f.DefValue)
		}
		if f.Name != "version" {
			fmt.Fprintf(out, " [%s]", envName(f.Name))
		}
		fmt.Fprintln(out)
	})
	fmt.Fprint(out, `
SIGINT or SIGTERM ends it in order: it takes nothing more, delivers what it has taken, closes the sockets and prints a summary. A second one ends it at once.
Exit codes: 0 after an orderly end, 1 after a failure, 2 for a wrong command line or a file of it that cannot be used.
`)
}

// versionLine names this build.
func versionLine() string {
	version, commit := "devel", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" && info.Main.Version != "(devel)" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = " " + s.Value
			}
		}
	}
	return fmt.Sprintf("pushpipeline %s%s %s %s/%s", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
