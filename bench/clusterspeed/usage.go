//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// used is what a process has used.
type used struct {
	CPU  time.Duration `json:"cpu"`
	Heap int64         `json:"heap"` // after a garbage collection, if that was asked for
}

// usage returns the processor time of this process.
func usage(context.Context, none) (used, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return used{}, err
	}
	return used{CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano())}, nil
}

// heap returns the memory in use after a garbage collection.
func heap(context.Context, none) (used, error) {
	debug.FreeOSMemory() // collects twice what has finalizers
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return used{Heap: int64(m.HeapAlloc)}, nil
}

// ticksPerSecond is that of /proc, on all of today's Linux.
const ticksPerSecond = 100

// cpuOf returns the processor time of another process.
func cpuOf(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name of the program, in brackets, may have spaces.
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is too short", pid)
	}
	var ticks int64
	for _, text := range fields[11:13] {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// machine says where the figures are from.
func machine() string {
	return fmt.Sprintf("%d processors, %s, %s at the start", runtime.NumCPU(), runtime.Version(), loadNow())
}

// loadNow is the load of the last minute.
func loadNow() string {
	load, _ := os.ReadFile("/proc/loadavg") // only for the reader
	minute, _, _ := strings.Cut(string(load), " ")
	return "load " + minute
}
