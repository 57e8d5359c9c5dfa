//go:build unix

package sourcetest

import (
	"syscall"
	"time"
)

// cpu returns the processor time of this process until now.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
