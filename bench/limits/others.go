package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// others returns a function that returns the share of the machine that processes other than
// the benchmarks have had since its last call; 0 where the system does not say.
func (b *binaries) others() func() float64 {
	var busy, total, used time.Duration
	return func() float64 {
		text, _ := os.ReadFile("/proc/stat") // "" where there is none
		nowBusy, nowTotal := processors(string(text))
		theirs, all := nowBusy-busy-(b.used-used), nowTotal-total
		busy, total, used = nowBusy, nowTotal, b.used
		if all <= 0 {
			return 0
		}
		return max(0, float64(theirs)/float64(all))
	}
}

// processors reads the first line of Linux's /proc/stat: how long the processors were busy
// since the start, and how much time there was.
func processors(text string) (busy, total time.Duration) {
	const tick = 10 * time.Millisecond
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	for i, field := range fields {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil || i > 8 { // the name; guests, who are in the time of users
			continue
		}
		total += time.Duration(n) * tick
		if i != 4 && i != 5 { // idle, and idle while a disk works
			busy += time.Duration(n) * tick
		}
	}
	return busy, total
}
