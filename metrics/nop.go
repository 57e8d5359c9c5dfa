package metrics

import "time"

// Nop returns a Recorder that records nothing.
func Nop() Recorder { return nop{} }

// nop is a recorder and each of its instruments. Without fields it never
// allocates.
type nop struct{}

func (nop) Counter(string, ...Tag) Counter { return nop{} }
func (nop) Gauge(string, ...Tag) Gauge     { return nop{} }
func (nop) Timer(string, ...Tag) Timer     { return nop{} }
func (nop) Add(int64)                      {}
func (nop) Set(float64)                    {}
func (nop) Observe(time.Duration)          {}
