//go:build unix

package main

import (
	"syscall"
	"time"

	"github.com/penstock-go/penstock/bench/internal/proc"
)

// cpuOf is the processor time that a process has used, in steps of 10 ms, or 0 if the
// system does not say; pid 0 is this process, exactly.
func cpuOf(pid int) time.Duration {
	if pid != 0 {
		cpu, _, _ := proc.Usage(pid) // 0 where there is no /proc
		return cpu
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
