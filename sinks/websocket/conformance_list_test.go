package websocket_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/internal/cases"
)

// allCases are the numbers of all cases, as ranges.
const allCases = "1-7 9-35 37-44 46-49 51-53 55-56 58-61 63-79 81-86 88-92 94-102 104-114 116-130 132-139 141-145"

// beyondList are numbers in its gaps that tests use all the same.
var beyondList = []string{"P93"}

// TestConformanceIsComplete checks docs/conformance-channels.md against the
// tests: each case is tested under its number or is in one table, not both, and
// the totals are right.
func TestConformanceIsComplete(t *testing.T) {
	where := map[string][]string{}
	note := func(number, place string) {
		if !slices.Contains(where[number], place) {
			where[number] = append(where[number], place)
		}
	}
	names := regexp.MustCompile(`"((?:P\d+_)+)[a-z0-9_]*"`)
	clients := regexp.MustCompile("test\\([\"`]((?:P\\d+ )+)")
	number := regexp.MustCompile(`P\d+`)
	for dir, name := range map[string]*regexp.Regexp{
		"*_test.go": names, "codec/*_test.go": names, "../../token/*_test.go": names, "../../presence/*_test.go": names, "../../pubsub/*_test.go": names,
		"testdata/node/*.test.mjs": clients,
	} {
		files, err := filepath.Glob(dir)
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range name.FindAllStringSubmatch(string(text), -1) {
				for _, n := range number.FindAllString(m[1], -1) {
					note(n, "tested under their number")
				}
			}
		}
	}
	doc, err := os.ReadFile("../../docs/conformance-channels.md")
	if err != nil {
		t.Fatal(err)
	}
	section := ""
	for line := range strings.Lines(string(doc)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.ToLower(strings.TrimSpace(title))
		}
		if m := regexp.MustCompile(`^\| (P\d+) \|`).FindStringSubmatch(line); m != nil {
			note(m[1], section)
		}
	}
	totals := map[string]int{"tested under their number": 0, "waiting": 0, "not applicable": 0}
	all, err := cases.Numbers(allCases)
	if err != nil {
		t.Fatal(err)
	}
	totals["all"] = len(all)
	for _, n := range all {
		id := fmt.Sprint("P", n)
		switch places := where[id]; len(places) {
		case 1:
			totals[places[0]]++
		case 0:
			t.Errorf("%s is neither tested nor in docs/conformance-channels.md", id)
		default:
			t.Errorf("%s is in %v", id, places)
		}
		delete(where, id)
	}
	for id, places := range where {
		if !slices.Contains(beyondList, id) {
			t.Errorf("%s is no case, but is in %v", id, places)
		}
	}
	for row, n := range totals {
		if line := fmt.Sprintf("| %s | %d |", row, n); !strings.Contains(string(doc), line) {
			t.Errorf("docs/conformance-channels.md has no line %q", line)
		}
	}
}
