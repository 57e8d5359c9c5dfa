package metrics

import (
	"slices"
	"sync"
)

// Kind is the kind of an instrument.
type Kind uint8

// The kinds.
const (
	KindCounter Kind = iota
	KindGauge
	KindTimer
)

// String returns "counter", "gauge" or "timer".
func (k Kind) String() string {
	return [...]string{KindCounter: "counter", KindGauge: "gauge", KindTimer: "timer"}[k]
}

// Description is what one package of this module records under one name.
type Description struct {
	// Name is the name that the recorder is given, with dots.
	Name string
	// Kind is that of the instrument.
	Kind Kind
	// Unit is what a counter counts or a gauge measures, in the plural; "duration" for
	// timers, "0 or 1" for a gauge that is a switch.
	Unit string
	// Tags are the keys of its tags, sorted.
	Tags []string
	// Package records it: its path within this module.
	Package string
	// Help completes the unit to a sentence.
	Help string
}

// Catalogue returns a copy of the descriptions of everything that this module
// records, in the order of docs/metrics.md. A name occurs once for each package that
// records it, always with the same kind.
func Catalogue() []Description {
	all := slices.Clone(catalogue)
	for i := range all {
		all[i].Tags = slices.Clone(all[i].Tags)
	}
	return all
}

// Describe returns the description of a name, with the tags of all packages that record
// it, and reports whether the catalogue has the name. Recorders that show units and help
// texts use it. The caller must not change the tags.
func Describe(name string) (Description, bool) {
	d, ok := byName()[name]
	return d, ok
}

// byName is the catalogue by name, made when it is first used.
var byName = sync.OnceValue(func() map[string]Description {
	all := make(map[string]Description, len(catalogue))
	for _, d := range catalogue {
		if have, ok := all[d.Name]; ok {
			have.Tags = slices.Compact(slices.Sorted(slices.Values(slices.Concat(have.Tags, d.Tags))))
			d = have
		}
		all[d.Name] = d
	}
	return all
})
