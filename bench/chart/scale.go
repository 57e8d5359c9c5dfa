package chart

import "math"

// scale maps values to positions.
type scale struct {
	log    bool
	lo, hi float64 // what is at the left and the right end
	ticks  []float64
}

// newScale finds the range of round numbers that has all values of b in it.
func newScale(b Bars) scale {
	lo, hi := math.Inf(1), 0.0
	take := func(v float64) {
		if !math.IsNaN(v) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	for _, g := range b.Groups {
		for _, v := range g.Values {
			take(v)
		}
	}
	for _, m := range b.Marks {
		take(m.At)
	}
	if hi == 0 { // nothing but zeroes or missing bars
		lo, hi = 1, 1
	}
	if b.Log {
		return logScale(lo, hi)
	}
	return linearScale(hi)
}

func logScale(lo, hi float64) scale {
	s := scale{log: true, lo: math.Pow(10, math.Floor(math.Log10(lo)))}
	if s.lo == lo { // the shortest bar is seen as well
		s.lo /= 10
	}
	s.hi = math.Pow(10, math.Ceil(math.Log10(hi)))
	for t := s.lo; t <= s.hi*1.001; t *= 10 {
		s.ticks = append(s.ticks, t)
	}
	return s
}

func linearScale(hi float64) scale {
	step := math.Pow(10, math.Floor(math.Log10(hi)))
	switch {
	case hi/step <= 2:
		step /= 5
	case hi/step <= 5:
		step /= 2
	}
	s := scale{hi: math.Ceil(hi/step) * step}
	for i := 0.0; i*step <= s.hi*1.001; i++ {
		s.ticks = append(s.ticks, i*step)
	}
	return s
}

// at is the position of v.
func (s scale) at(v float64) float64 {
	share := v / s.hi
	if s.log {
		share = math.Log(v/s.lo) / math.Log(s.hi/s.lo)
	}
	return left + share*(width-left-right)
}
