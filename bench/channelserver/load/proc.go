//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

// usage is what the kernel says of a process and of the machine.
type usage struct {
	resident int64         // bytes of the process
	cpu      time.Duration // user and system time of the process, in steps of 10 ms
	others   time.Duration // that of all processes but it and this one
	at       time.Time
}

// The kernel counts in hundredths of a second everywhere.
const tick = 10 * time.Millisecond

// usageOf reads /proc.
func usageOf(pid int) (usage, error) {
	u := usage{at: time.Now()}
	own, _, err := processUsage(os.Getpid())
	if err != nil {
		return u, err
	}
	if u.cpu, u.resident, err = processUsage(pid); err != nil {
		return u, err
	}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, err
	}
	// The first line is: cpu user nice system idle ... steal, the last one being
	// what the machine's host gave to others.
	f := bytes.Fields(stat[:max(bytes.IndexByte(stat, '\n'), 0)])
	if len(f) < 9 {
		return u, errors.New("/proc/stat is too short")
	}
	var all time.Duration
	for _, at := range []int{1, 2, 3, 8} {
		n, err := strconv.ParseInt(string(f[at]), 10, 64)
		if err != nil {
			return u, fmt.Errorf("/proc/stat: %w", err)
		}
		all += time.Duration(n) * tick
	}
	u.others = all - own - u.cpu
	return u, nil
}

// processUsage reads CPU time and resident memory of a process.
func processUsage(pid int) (cpu time.Duration, resident int64, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The second field is a name in parentheses that may hold anything.
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 22 {
		return 0, 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	user, err1 := strconv.ParseInt(string(f[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(f[12]), 10, 64)
	pages, err3 := strconv.ParseInt(string(f[21]), 10, 64)
	return time.Duration(user+system) * tick, pages * int64(os.Getpagesize()), errors.Join(err1, err2, err3)
}

// othersSince is the share of all processors that other processes have had.
func (u usage) othersSince(before usage) float64 {
	have := u.at.Sub(before.at) * time.Duration(runtime.NumCPU())
	return max(0, float64(u.others-before.others)/float64(max(have, 1)))
}
