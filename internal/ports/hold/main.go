// Command hold takes loopback ports for a script: it prints the first of them, and keeps them
// until its standard input ends, which is when the script does. Its argument is how many tens.
// The ports of the script are the nine after each multiple of ten. servers/ports runs it.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/penstock-go/penstock/internal/ports"
)

func main() {
	if err := hold(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hold:", err)
		os.Exit(1)
	}
}

func hold(args []string) error {
	n := 1
	if len(args) > 0 {
		var err error
		if n, err = strconv.Atoi(args[0]); err != nil {
			return err
		}
	}
	r, err := ports.Take(n)
	if err != nil {
		return err
	}
	defer r.Close()
	fmt.Println(r.First)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
