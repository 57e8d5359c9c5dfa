package stage_test

import (
	"fmt"
	"hash/fnv"
)

// part is a descendant of the source's event id.
type part struct {
	id   int
	path string
}

// parts is an event: several parts once it was gathered. A part that was filtered
// out of a gathered event stays as a ghost, which shares its end.
type parts []part

const ghost = "-"

// one reports, for one part in so many, always the same for a part.
func (p part) one(in uint64) bool {
	h := fnv.New64a()
	fmt.Fprint(h, p.id, p.path)
	return h.Sum64()%in == 0
}

// The kinds of stages, as letters of a plan.
const (
	mapping   = 'm' // one event for each, some of which fail
	filtering = 'f' // drops some parts
	copying   = 'c' // two events for each, by the chunk
	splitting = 's' // two events for each, by the event
	gathering = 'g' // one event for two
)

// expected returns the paths that reach the end for one part, and whether some
// part fails on the way.
func expected(plan string, p part) (paths []string, fails bool) {
	if plan == "" {
		return []string{p.path}, false
	}
	var next []part
	switch kind := plan[0]; kind {
	case mapping:
		if p.one(13) {
			return nil, true
		}
		next = []part{{p.id, p.path + "m"}}
	case filtering:
		if !p.one(4) {
			next = []part{{p.id, p.path + "f"}}
		}
	case copying, splitting:
		next = []part{{p.id, p.path + "0"}, {p.id, p.path + "1"}}
	default:
		next = []part{p}
	}
	for _, n := range next {
		list, failed := expected(plan[1:], n)
		paths, fails = append(paths, list...), fails || failed
	}
	return paths, fails
}
