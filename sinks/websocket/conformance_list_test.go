package websocket_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/internal/cases"
)

// TestConformanceIsComplete checks docs/conformance-channels.md against the
// tests of all packages: each case is tested under its number or is in one
// table, not both, no other number is anywhere, the totals are right, and each
// case is tested in the package that the document names for it.
func TestConformanceIsComplete(t *testing.T) {
	const document = "../../docs/conformance-channels.md"
	report, err := cases.Audit{
		All:      "P1-7 9-35 37-44 46-49 51-53 55-56 58-61 63-79 81-86 88-92 94-102 104-114 116-130 132-139 141-145",
		Total:    131,
		Root:     "../..",
		Document: document,
		Tables:   []string{"not applicable"},
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
	packages := whereTested(t, string(text))
	for id, dirs := range report.Tests {
		for _, dir := range dirs {
			if !slices.Contains(packages[id], dir) {
				t.Errorf("%s is tested in %s, the document says %v", id, dir, packages[id])
			}
		}
	}
}

// whereTested returns the directories of each case according to the document's
// first table, whose rows begin with ranges such as "P1-P27 handshake, P31".
func whereTested(t *testing.T, text string) map[string][]string {
	t.Helper()
	packages := make(map[string][]string)
	_, text, _ = strings.Cut(text, "| cases | where |\n")
	text, _, _ = strings.Cut(text, "\n\n")
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || strings.HasPrefix(line, "|---") {
			continue
		}
		dir := regexp.MustCompile("`([^`]+)`").FindStringSubmatch(cells[2])
		if dir == nil {
			t.Fatalf("no directory in %q", line)
		}
		for _, m := range regexp.MustCompile(`P(\d+)(?:–P(\d+))?`).FindAllStringSubmatch(cells[1], -1) {
			last := m[2]
			if last == "" {
				last = m[1]
			}
			all, err := cases.Numbers("P" + m[1] + "-" + last)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range all {
				packages[id] = append(packages[id], filepath.FromSlash(dir[1]))
			}
		}
	}
	return packages
}
