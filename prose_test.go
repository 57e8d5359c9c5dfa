package penstock_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// unplain are words and phrases that documents do without: those that leave open
// which thing is meant, and those that few readers of technical English know.
var unplain = regexp.MustCompile(`(?i)\b(whoever|somebody|anybody|everybody|nobody|for ever|shall|reckon\w*|g[ia]ves? up|given up|` +
	`(tells?|says?|said) whether|sees to it|he|him|his|himself|parcels?|crumbs?|answers (an?|the) (error|number|bool)|is none of)\b`)

// TestProse checks the lines of all documents, except for code: they are plain
// English and, tables and links on a line of their own aside, at most 120 columns
// wide.
func TestProse(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "node_modules" || name == ".git") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, fault := range faults(string(text)) {
			t.Errorf("%s: %s", path, fault)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// faults returns the lines of a Markdown text that are too wide or not plain.
func faults(text string) (found []string) {
	code := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
			continue
		}
		if code || strings.HasPrefix(line, "    ") {
			continue
		}
		table := strings.HasPrefix(line, "|")
		if unbroken := !strings.Contains(strings.TrimSpace(line), " "); utf8.RuneCountInString(line) > 120 && !table && !unbroken {
			found = append(found, "wider than 120 columns: "+line)
		}
		prose := regexp.MustCompile("`[^`]*`").ReplaceAllString(line, "")
		if word := unplain.FindString(prose); word != "" {
			found = append(found, "not plain ("+word+"): "+line)
		}
	}
	return found
}

func TestFaultsOfProse(t *testing.T) {
	wide := strings.Repeat("word ", 30)
	for text, want := range map[string]int{
		"A plain line.\n":                  0,
		wide:                               1,
		"| " + wide + "|":                  0,
		"```\n" + wide + "\n```\n":         0,
		"    " + wide:                      0,
		"](" + strings.Repeat("x", 200):    0,
		"It waits for nobody.":             1,
		"| whoever | comes |":              1,
		"```\nnobody\n```\nwho Shall see?": 1,
		"`nobody` is an account; the heap": 0,
	} {
		if got := faults(text); len(got) != want {
			t.Errorf("%q: %q, want %d", text, got, want)
		}
	}
}

// TestDocumentsNameTests looks for the tests, benchmarks and fuzz tests that the
// documents name.
func TestDocumentsNameTests(t *testing.T) {
	function := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
	there := make(map[string]bool)
	walk := func(extension string, visit func(path, text string)) {
		err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, extension) {
				return err
			}
			text, err := os.ReadFile(path)
			visit(path, string(text))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	walk("_test.go", func(_, text string) {
		for _, m := range function.FindAllStringSubmatch(text, -1) {
			there[m[1]] = true
		}
	})
	walk(".md", func(path, text string) {
		for _, m := range regexp.MustCompile("`((?:Test|Benchmark|Fuzz)[A-Z]\\w*)").FindAllStringSubmatch(text, -1) {
			if !there[m[1]] {
				t.Errorf("%s names %s, which is nowhere", path, m[1])
			}
		}
	})
}
