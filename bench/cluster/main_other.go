//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "cluster: needs Linux, whose signals and /proc it uses")
	os.Exit(2)
}
