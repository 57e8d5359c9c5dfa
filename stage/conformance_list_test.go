package stage_test

import (
	"testing"

	"github.com/penstock-go/penstock/internal/cases"
)

// TestConformanceIsComplete checks docs/conformance.md against the tests of all
// packages: each case is tested under its number or is in exactly one table, no
// other number is anywhere, and the totals are right.
func TestConformanceIsComplete(t *testing.T) {
	report, err := cases.Audit{
		All: "G1-3 5-9 11-12 14-16 18-22 24-33 35-39 41 43-63 65-93 95-103 105-126 128-129 131-137 139-141 143-149" +
			" 151-162 164-167 169-208 210 212 X1-11 Q1-12",
		Total:    215,
		Within:   "G23 150",
		Root:     "..",
		Document: "../docs/conformance.md",
		Part:     "Conformance with GenStage",
		Tables:   []string{"different on purpose", "checked under another name", "not applicable"},
	}.Run()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range report.Problems {
		t.Error(problem)
	}
}
