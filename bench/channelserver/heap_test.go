package main

import (
	"runtime"
	"strings"
	"testing"
)

var kept []byte

// The table names who has allocated, and divides by the connections.
func TestHeapTable(t *testing.T) {
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	kept = make([]byte, 1<<20)
	runtime.MemProfileRate = rate
	runtime.GC()
	runtime.GC()
	var out strings.Builder
	before := &runtime.MemStats{OtherSys: 2000}
	writeHeap(&out, heapSites(liveHeap()), before, &runtime.MemStats{StackInuse: 4096, OtherSys: 1000}, 1024)
	for _, want := range []string{"TestHeapTable (heap_test.go:", " | 1024 | 0.00 |", "| stacks | 4 | |", "the like | -1 | |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	runtime.KeepAlive(kept)
}
