//go:build linux

package main

import (
	"errors"
	"os"
	"time"

	"github.com/penstock-go/penstock/bench/internal/proc"
)

// usage is what the kernel says of a process and of the machine.
type usage struct {
	resident int64         // bytes of the process
	cpu      time.Duration // user and system time of the process, in steps of 10 ms
	others   time.Duration // that of all processes but it and this one
	machine  time.Duration // that all processors have had so far
}

// usageOf reads /proc.
func usageOf(pid int) (u usage, err error) {
	own, _, err1 := proc.Usage(os.Getpid())
	all, machine, err2 := proc.Machine()
	var err3 error
	u.cpu, u.resident, err3 = proc.Usage(pid)
	u.others, u.machine = all-own-u.cpu, machine
	return u, errors.Join(err1, err2, err3)
}

// othersSince is the share of all processors that other processes have had. Both times are of one
// look at the machine: a clock read apart from it could make the share larger than 1.
func (u usage) othersSince(before usage) float64 {
	return max(0, float64(u.others-before.others)/float64(max(u.machine-before.machine, 1)))
}
