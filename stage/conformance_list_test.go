package stage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/internal/cases"
)

// listed are the numbers of all cases, as ranges.
var listed = map[string]string{
	"G": "1-3 5-9 11-12 14-16 18-22 24-33 35-39 41 43-63 65-93 95-103 105-126 128-129 131-137 139-141 143-149 151-162 164-167",
	"X": "1-11",
	"Q": "1-12",
}

// beyond are the cases of the supervisor, which package consumer checks.
const beyond = 168

// TestConformanceIsComplete checks docs/conformance.md against the tests: each
// case is tested under its number or is in exactly one table, and the totals
// are right.
func TestConformanceIsComplete(t *testing.T) {
	where := map[string][]string{}
	for _, dir := range []string{".", "../dispatcher", "../consumer", "../producer"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`"([GXQ]\d+)_[a-z0-9_]+"`).FindAllStringSubmatch(string(text), -1) {
				if !slices.Contains(where[m[1]], "tested") {
					where[m[1]] = append(where[m[1]], "tested")
				}
			}
		}
	}
	doc, err := os.ReadFile("../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	section := ""
	for line := range strings.Lines(string(doc)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(title)
		}
		if m := regexp.MustCompile(`^\| ([GXQ]\d+) \|`).FindStringSubmatch(line); m != nil {
			where[m[1]] = append(where[m[1]], section)
		}
	}
	totals := map[string]int{}
	all := 0
	for letter, ranges := range listed {
		list, err := cases.Numbers(ranges)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			all++
			id := fmt.Sprint(letter, n)
			switch places := where[id]; len(places) {
			case 1:
				totals[places[0]]++
			case 0:
				t.Errorf("%s is neither tested nor in docs/conformance.md", id)
			default:
				t.Errorf("%s is in %v", id, places)
			}
			delete(where, id)
		}
	}
	for id, places := range where {
		if n, err := strconv.Atoi(id[1:]); err == nil && n <= beyond {
			t.Errorf("%s is no case, but is in %v", id, places)
		}
	}
	for row, n := range map[string]int{
		"tested under their number":  totals["tested"],
		"answered differently":       totals["Answered differently"],
		"checked under another name": totals["Checked under another name"],
		"not applicable":             totals["Not applicable"],
		"all":                        all,
	} {
		if line := fmt.Sprintf("| %s | %d |", row, n); !strings.Contains(string(doc), line) {
			t.Errorf("docs/conformance.md has no line %q", line)
		}
	}
}
