package main

import (
	"math"
	"os"

	"github.com/penstock-go/penstock/bench/chart"
)

// draw writes the rates as bars.
func draw(file string, chosen []work, all []contestant, results [][]entry) error {
	bars := chart.Bars{Title: "Events a second, in one run on the same machine", Unit: "M/s", Log: true}
	for _, w := range chosen {
		bars.Names = append(bars.Names, w.name+": "+w.short)
	}
	for i, c := range all {
		g := chart.Group{Name: c.name}
		for j := range chosen {
			rate := math.NaN()
			if e := results[j][i]; e.perSecond > 0 {
				rate = e.perSecond / 1e6
			}
			g.Values = append(g.Values, rate)
		}
		bars.Groups = append(bars.Groups, g)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := bars.WriteTo(f); err != nil {
		_ = f.Close() // the first error says more
		return err
	}
	return f.Close()
}
