package stage_test

import (
	"slices"
	"testing"
)

// TestConformance checks the stages case by case against the behaviour of
// GenStage. Each case bears the number of docs/conformance.md, where the cases
// are listed that do not apply here or differ on purpose.
func TestConformance(t *testing.T) {
	cases := slices.Concat(demandCases, pipeCases, modeCases, bufferCases, infoCases, subscribeCases,
		producerCases, consumerCases, pcCases, streamCases, extraCases, faultCases)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { bubble(t, c.run) })
	}
}
