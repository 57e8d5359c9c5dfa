//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine is where and of what a table was made.
func machine(ctx context.Context) string {
	commit := "unknown"
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude", "*").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // "" if it cannot be read
	return fmt.Sprintf("%s; %d processors (%s), shared by server and clients; Linux %s; %s; commit %s.\n\n", time.Now().UTC().Format(time.DateOnly),
		runtime.NumCPU(), processor(), strings.TrimSpace(string(kernel)), runtime.Version(), commit)
}

// processor is the name that the first processor gives itself.
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
