package document

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Machine is when, where and of what something was measured, without a final dot.
func Machine() string {
	commit := "unknown"
	if out, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude", "*").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	processor := runtime.GOARCH
	info, _ := os.ReadFile("/proc/cpuinfo") // "" if it cannot be read
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			processor = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%s, commit %s, %d processors (%s), %s, %s",
		time.Now().UTC().Format(time.DateOnly), commit, runtime.GOMAXPROCS(0), processor, runtime.GOOS, runtime.Version())
}
