package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine says when, what and where was measured.
func machine(ctx context.Context) string {
	return fmt.Sprintf("%s, commit %s; %d processors%s; %s/%s; %s", time.Now().UTC().Format(time.DateOnly), commit(ctx),
		runtime.GOMAXPROCS(0), model(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// commit is the one that is checked out, with a + if files differ from it.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty=+", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return string(bytes.TrimSpace(out))
}

// model is the processor's name where the system has it.
func model() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return " (" + strings.TrimLeft(strings.TrimSpace(name), ": ") + ")"
		}
	}
	return ""
}
