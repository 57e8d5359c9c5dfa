package sourcetest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Server returns where the server of this name is, such as "redis", or skips the test.
// Servers are started by servers/test, which sets the variable that is read here.
func Server(t testing.TB, name string) string {
	t.Helper()
	at := os.Getenv(Variable(name))
	if at == "" {
		t.Skipf("needs a server: make test-%s, or %s", name, Variable(name))
	}
	return at
}

// Variable returns the name of the environment variable with the address of a server.
func Variable(name string) string { return "PENSTOCK_" + strings.ToUpper(name) }

// Control returns what stops and starts a server for [Backend], nil if it is not ours to stop.
func Control(name string) func(t testing.TB, action string) {
	ctl := os.Getenv(Variable(name) + "_CTL")
	if ctl == "" {
		return nil
	}
	return func(t testing.TB, action string) {
		t.Helper()
		if out, err := exec.Command(ctl, action).CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v\n%s", ctl, action, err, out)
		}
	}
}

var names atomic.Int64

// NewName returns the name of a queue or stream that no other test has, also of earlier runs.
func NewName() string {
	return fmt.Sprintf("test-%d-%d-%d", os.Getpid(), time.Now().Unix(), names.Add(1))
}
