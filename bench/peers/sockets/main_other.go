//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "sockets: works on Linux only: it uses epoll and /proc")
	os.Exit(1)
}
