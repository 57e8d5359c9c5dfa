//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "clusterspeed: works on Linux only: it reads /proc")
	os.Exit(1)
}
