// Package penstock_test checks what the front page says.
package penstock_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeProgramRuns compiles and runs the program of the front page.
func TestReadmeProgramRuns(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "<!-- program -->\n```go\n")
	program, _, end := strings.Cut(rest, "```")
	if !ok || !end {
		t.Fatal("README.md has no program")
	}
	out := output(t, build(t, map[string]string{"readme": program}), "readme")
	if out != "42 hello\n" {
		t.Fatalf("printed %q", out)
	}
}

// TestReadmeLinksAndSize looks for what the front page points at.
func TestReadmeLinksAndSize(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines > 250 {
		t.Errorf("README.md has %d lines: it is a front page", lines)
	}
	prose := regexp.MustCompile("(?s)```.*?```").ReplaceAll(text, nil)
	for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(prose), -1) {
		if strings.Contains(link[1], "://") {
			continue
		}
		if _, err := os.Stat(link[1]); err != nil {
			t.Errorf("README.md points at %s: %v", link[1], err)
		}
	}
}
