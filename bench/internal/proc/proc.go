// Package proc reads what Linux says of processes and of the machine.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of time in /proc, on all of today's Linux.
const tick = 10 * time.Millisecond

// Usage returns the processor time that a process has used, in steps of 10 ms, and its resident
// memory in bytes.
func Usage(pid int) (cpu time.Duration, resident int64, err error) {
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

// Machine returns how long processes have been busy since the start of the machine, the time that
// its host gave to others included, and how much time there was, of all processors together.
func Machine() (busy, total time.Duration, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	if busy, total = machine(string(stat)); total == 0 {
		return 0, 0, errors.New("/proc/stat has no line of all processors")
	}
	return busy, total, nil
}

// machine reads the first line of /proc/stat. Interrupts count for no process: what the loopback
// interface does for a benchmark is most of them.
func machine(text string) (busy, total time.Duration) {
	line, _, _ := strings.Cut(text, "\n")
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil || i > 8 { // the name; guests, who are in the time of users
			continue
		}
		total += time.Duration(n) * tick
		if i < 4 || i > 7 { // not idle, idle while a disk works, interrupts
			busy += time.Duration(n) * tick
		}
	}
	return busy, total
}
