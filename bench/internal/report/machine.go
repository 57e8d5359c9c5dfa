package report

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Machine is when, where and of what something was measured.
type Machine struct {
	Date      string `json:"date"`
	Commit    string `json:"commit"`
	Processor string `json:"processor"` // how many, and of what model where the system has it
	System    string `json:"system"`    // the system and its architecture
	Go        string `json:"go"`
}

// ThisMachine describes the machine, and the commit that is checked out.
func ThisMachine(ctx context.Context) Machine {
	m := Machine{Date: time.Now().UTC().Format(time.DateOnly), Commit: commit(ctx), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	m.Processor = fmt.Sprintf("%d processors", runtime.GOMAXPROCS(0))
	if name := model(); name != "" {
		m.Processor += " (" + name + ")"
	}
	return m
}

// String returns one line, without a final dot.
func (m Machine) String() string {
	return fmt.Sprintf("%s, commit %s; %s; %s; %s", m.Date, m.Commit, m.Processor, m.System, m.Go)
}

// What a commit is called that is none, or not all.
const (
	unknown = "unknown"
	changed = "+" // at its end: files differ from it
)

// commit returns the one that is checked out, with a + if files differ from it.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty="+changed, "--exclude=*").Output()
	if err != nil {
		return unknown
	}
	return strings.TrimSpace(string(out))
}

// committed reports whether the commit says which files were measured.
func (m Machine) committed() bool {
	return m.Commit != "" && m.Commit != unknown && !strings.HasSuffix(m.Commit, changed)
}

// model returns the name that the first processor gives itself.
func model() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // "" where there is none
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
