package dispatcher

import (
	"slices"
	"testing"
)

// kase is a case of docs/conformance.md, named by its number there.
type kase struct {
	name string
	run  func(t *testing.T)
}

// TestConformance checks the dispatchers case by case against GenStage's.
func TestConformance(t *testing.T) {
	for _, c := range slices.Concat(demandCases, broadcastCases, partitionCases, costCases) {
		t.Run(c.name, c.run)
	}
}
