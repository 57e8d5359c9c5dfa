package main

import (
	"fmt"
	"io"
	"net/http"
	"path"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
)

// heapSite is where live memory was allocated.
type heapSite struct {
	name           string
	bytes, objects int64
}

// getHeap writes where the memory that is in use was allocated, divided by the connections.
// It needs a profile of every allocation: -heap-sites.
func (s *server) getHeap(w http.ResponseWriter, r *http.Request) {
	if runtime.MemProfileRate != 1 {
		http.Error(w, "the server must be started with -heap-sites", http.StatusBadRequest)
		return
	}
	// The profile is that of the cycle before the last one.
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := s.empty.Load()
	if before == nil {
		before = &runtime.MemStats{}
	}
	writeHeap(w, heapSites(liveHeap()), before, &m, max(1, s.endpoint.Snapshot().Connections))
}

// liveHeap returns the profile of what is in use.
func liveHeap() []runtime.MemProfileRecord {
	for n := 1000; ; n *= 2 {
		records := make([]runtime.MemProfileRecord, n)
		if n, ok := runtime.MemProfile(records, false); ok {
			return records[:n]
		}
	}
}

// heapSites adds up the records of each site, the largest first. A site is the first function of a
// stack that is not the runtime's, with the line, and the one that called it if that is in another
// package.
func heapSites(records []runtime.MemProfileRecord) []heapSite {
	sum := make(map[string]*heapSite)
	for i := range records {
		name := siteOf(records[i].Stack())
		if sum[name] == nil {
			sum[name] = &heapSite{name: name}
		}
		sum[name].bytes += records[i].InUseBytes()
		sum[name].objects += records[i].InUseObjects()
	}
	var list []heapSite
	for _, site := range sum {
		list = append(list, *site)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].bytes > list[j].bytes })
	return list
}

// siteOf names the site of a stack.
func siteOf(stack []uintptr) string {
	frames := runtime.CallersFrames(stack)
	for {
		frame, more := frames.Next()
		name := path.Base(frame.Function)
		runtimes := strings.HasPrefix(name, "runtime.") || strings.HasPrefix(frame.Function, "internal/runtime/")
		if !runtimes || !more {
			return fmt.Sprintf("%s (%s:%d)", name, path.Base(frame.File), frame.Line)
		}
	}
}

// writeHeap prints the sites as a table, and how the rest of the memory has grown since before. Sites
// of less than four bytes a connection are one row.
func writeHeap(w io.Writer, sites []heapSite, before, m *runtime.MemStats, conns int) {
	each := func(n int64) float64 { return float64(n) / float64(conns) }
	fmt.Fprintf(w, "| %d connections: where | bytes each | objects each |\n|---|---|---|\n", conns)
	var rest, all heapSite
	row := func(site heapSite) {
		fmt.Fprintf(w, "| %s | %.0f | %.2f |\n", site.name, each(site.bytes), each(site.objects))
	}
	for _, site := range sites {
		all.bytes, all.objects = all.bytes+site.bytes, all.objects+site.objects
		if each(site.bytes) >= 4 {
			row(site)
		} else {
			rest.bytes, rest.objects = rest.bytes+site.bytes, rest.objects+site.objects
		}
	}
	rest.name, all.name = "smaller sites together", "**all objects**"
	row(rest)
	row(all)
	for _, part := range []struct {
		what        string
		before, now uint64
	}{
		{"free parts of the pages of the heap", before.HeapInuse - before.HeapAlloc, m.HeapInuse - m.HeapAlloc},
		{"pages that are kept for the heap", before.HeapIdle - before.HeapReleased, m.HeapIdle - m.HeapReleased},
		{"stacks", before.StackInuse, m.StackInuse},
		{"the runtime's lists of pages", before.MSpanSys + before.MCacheSys, m.MSpanSys + m.MCacheSys},
		{"the collector's own", before.GCSys, m.GCSys},
		{"the runtime's poller and the like", before.OtherSys, m.OtherSys},
	} {
		fmt.Fprintf(w, "| %s | %.0f | |\n", part.what, each(int64(part.now)-int64(part.before)))
	}
}
