package stage_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/penstock-go/penstock/internal/cases"
)

// TestConformanceIsComplete checks docs/conformance.md against the tests of all
// packages: each case is tested under its number or is in exactly one table, no
// other number is anywhere, the totals are right, and the tests that the document
// names exist.
func TestConformanceIsComplete(t *testing.T) {
	const document = "../docs/conformance.md"
	report, err := cases.Audit{
		All: "G1-3 5-9 11-12 14-16 18-22 24-33 35-39 41 43-63 65-93 95-103 105-126 128-129 131-137 139-141 143-149" +
			" 151-162 164-167 169-208 210 212 X1-11 Q1-12",
		Total:    215,
		Within:   "G23 150",
		Root:     "..",
		Document: document,
		Tables:   []string{"different on purpose", "checked under another name", "not applicable"},
	}.Run()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range report.Problems {
		t.Error(problem)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(text), -1) {
		if !report.Names[m[1]] {
			t.Errorf("the document names %s, which is no test", m[1])
		}
	}
}
