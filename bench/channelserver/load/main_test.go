//go:build linux

package main

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// binaries is where the tests put the server that they compile.
var binaries string

func TestMain(m *testing.M) {
	var err error
	if binaries, err = os.MkdirTemp("", "load"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(binaries) // it is in the directory for such things
		os.Exit(code)
	}))
}
