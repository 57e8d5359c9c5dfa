//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
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
