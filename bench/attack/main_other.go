//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "attack: needs Linux, whose loopback has many addresses")
	os.Exit(2)
}
