package pipeline_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/internal/cases"
)

// conformanceCase is one case of docs/conformance.md, part Broadway.
type conformanceCase struct {
	name string
	run  func(t *testing.T)
}

// TestConformance checks pipelines case by case against the behaviour of Broadway. Each
// case bears the number of docs/conformance.md, where the cases are listed that do not
// apply here or differ on purpose.
func TestConformance(t *testing.T) {
	for _, c := range slices.Concat(configCases, stepCases, batchCases, failureCases, endCases, rateCases, sourceCases) {
		t.Run(c.name, func(t *testing.T) { synctest.Test(t, c.run) })
	}
}

// TestConformanceIsComplete checks the part Broadway of docs/conformance.md against the
// tests: each case is tested under its number or is in exactly one table, no other number
// is anywhere, and the totals are right.
func TestConformanceIsComplete(t *testing.T) {
	report, err := cases.Audit{
		All:      "B1-11 13-15 17-25 27-35",
		Total:    32,
		Root:     "..",
		Document: "../docs/conformance.md",
		Part:     "Conformance with Broadway",
		Tables:   []string{"broadway: different on purpose", "broadway: not applicable"},
	}.Run()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range report.Problems {
		t.Error(problem)
	}
}
