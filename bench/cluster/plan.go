//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// fault is something that goes wrong in a cycle.
type fault string

const (
	faultKill      fault = "kill"
	faultRestart   fault = "restart"
	faultStop      fault = "stop"
	faultBackplane fault = "backplane"
	faultCut       fault = "cut"
)

// faultsOf returns the faults that a backplane can have.
func faultsOf(backplane string) []fault {
	if backplane == "embedded" {
		return []fault{faultKill, faultRestart, faultStop}
	}
	return []fault{faultKill, faultRestart, faultStop, faultBackplane, faultCut}
}

// parseFaults reads a list with commas; an empty one is all that the backplane can have.
func parseFaults(text, backplane string) ([]fault, error) {
	possible := faultsOf(backplane)
	if text == "" {
		return possible, nil
	}
	var all []fault
	for name := range strings.SplitSeq(text, ",") {
		if !slices.Contains(possible, fault(name)) {
			return nil, fmt.Errorf("-faults %q is not allowed with -backplane %s: a list of %v", name, backplane, possible)
		}
		all = append(all, fault(name))
	}
	return all, nil
}

// step is one cycle: a fault, and the node that has it.
type step struct {
	fault fault
	node  int
}

// plan returns the steps of a run. The faults come in turn, each round in another order,
// at nodes that are drawn. Restarts alone are a rolling restart: the nodes take turns.
func plan(cycles int, faults []fault, nodes int, seed uint64) []step {
	r := rand.New(rand.NewPCG(seed, 1))
	var steps []step
	for len(steps) < cycles {
		for _, i := range r.Perm(len(faults)) {
			node := r.IntN(nodes)
			if len(faults) == 1 && faults[0] == faultRestart {
				node = len(steps) % nodes
			}
			steps = append(steps, step{faults[i], node})
		}
	}
	return steps[:cycles]
}
