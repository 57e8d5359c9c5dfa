package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// figures are what a benchmark printed: by row and unit, one value for each run.
type figures map[[2]string][]float64

// parse reads the lines of go test -bench: a name with the number of processors, the number
// of rounds, and pairs of a value and its unit.
func parse(text string) (figures, error) {
	f := make(figures)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		row := fields[0]
		// The number of processors is absent on a machine with one.
		if i := strings.LastIndexByte(row, '-'); i > 0 {
			if _, err := strconv.Atoi(row[i+1:]); err == nil {
				row = row[:i]
			}
		}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q is no figure, in: %s", fields[i], strings.TrimSpace(line))
			}
			f.add(row, fields[i+1], v)
		}
	}
	return f, nil
}

func (f figures) add(row, unit string, v float64) {
	at := [2]string{row, unit}
	f[at] = append(f[at], v)
}

// whole is the median of a row of which every run has printed the unit.
func (f figures) whole(row, unit string, runs int) (float64, error) {
	v, n := f.median(row, unit)
	if n != runs {
		return 0, fmt.Errorf("%s printed %s in %d runs of %d", row, unit, n, runs)
	}
	return v, nil
}

// median returns the middle one of the values of a row, and how many there are.
func (f figures) median(row, unit string) (v float64, n int) {
	values := slices.Sorted(slices.Values(f[[2]string{row, unit}]))
	if n = len(values); n == 0 {
		return 0, 0
	}
	return (values[(n-1)/2] + values[n/2]) / 2, n
}
