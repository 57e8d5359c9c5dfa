//go:build linux

package main

import (
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/penstock-go/penstock/bench/internal/proc"
)

// usage is what the kernel says of a process and of the machine.
type usage struct {
	resident int64         // bytes of the process
	cpu      time.Duration // user and system time of the process, in steps of 10 ms
	others   time.Duration // that of all processes but it and this one
	at       time.Time
}

// usageOf reads /proc.
func usageOf(pid int) (u usage, err error) {
	u.at = time.Now()
	own, _, err1 := proc.Usage(os.Getpid())
	all, _, err2 := proc.Machine()
	var err3 error
	u.cpu, u.resident, err3 = proc.Usage(pid)
	u.others = all - own - u.cpu
	return u, errors.Join(err1, err2, err3)
}

// othersSince is the share of all processors that other processes have had.
func (u usage) othersSince(before usage) float64 {
	have := u.at.Sub(before.at) * time.Duration(runtime.NumCPU())
	return max(0, float64(u.others-before.others)/float64(max(have, 1)))
}
