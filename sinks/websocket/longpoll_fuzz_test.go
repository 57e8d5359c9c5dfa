package websocket

import (
	"bytes"
	"encoding/base64"
	"runtime"
	"testing"
)

// linesAllocated is what splitLines allocates: the least of some runs, since
// the fuzzer's goroutines allocate as well.
func linesAllocated(in []byte) (list []posted, least uint64, err error) {
	least = ^uint64(0)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		list, err = splitLines(in)
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return list, least, err
}

// FuzzSplitLines checks the bodies of long poll: lines come out in their order,
// no more than maxLines, as they were sent, and cost at most eight times their
// size in memory beside the list of them.
func FuzzSplitLines(f *testing.F) {
	f.Add([]byte("[1]\n[2]\r\n\n  [3]  \n"))
	f.Add([]byte("AAEBAQFhYmNkZQ==\n[1]"))
	f.Add([]byte("%%%"))
	f.Add(bytes.Repeat([]byte("[\n"), 300))
	f.Add(bytes.Repeat([]byte("\n"), 3000))
	f.Fuzz(func(t *testing.T, in []byte) {
		list, n, err := linesAllocated(in)
		if n > uint64(8*len(in)+4096) {
			t.Fatalf("%d bytes allocated for %d", n, len(in))
		}
		if err != nil {
			return
		}
		if len(list) > maxLines {
			t.Fatalf("%d lines", len(list))
		}
		next := 0
		for line := range bytes.SplitSeq(in, []byte("\n")) {
			if line = bytes.TrimSpace(line); len(line) == 0 || next == len(list) {
				continue
			}
			got := list[next]
			next++
			if got.binary == (line[0] == '[') {
				t.Fatalf("%q: binary %v", line, got.binary)
			}
			if !got.binary && !bytes.Equal(got.data, line) {
				t.Fatalf("%q became %q", line, got.data)
			}
			if got.binary {
				if raw, err := base64.StdEncoding.DecodeString(string(line)); err != nil || !bytes.Equal(raw, got.data) {
					t.Fatalf("%q became %q (%v)", line, got.data, err)
				}
			}
		}
		if next != len(list) {
			t.Fatalf("%d lines came out of %d", len(list), next)
		}
	})
}
