package cases

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Tested is the place of a case that a test has in its name.
const Tested = "tested under their number"

// An Audit compares a list of cases with the names of all tests below Root and
// with a document.
type Audit struct {
	// All are the cases, as a text for Numbers. Its letters are those of all
	// cases: what has another letter is not looked at.
	All string
	// Total is how many cases All must have.
	Total int
	// Within are numbers that All leaves out since another case covers them.
	// They must be tested under their number and must be in the document, and
	// they do not count.
	Within string
	// Root is the directory whose tests are read: the Go files *_test.go, in
	// which a name begins a string, and *.test.mjs, in which it begins the first
	// argument of test.
	Root string
	// Document is the Markdown file. Its sections named in Tables hold the cases
	// that are not tested under their number, one in each row.
	Document string
	Tables   []string
	// Part is the title of the part of Document that is about these cases: a heading of
	// the first level. "" is the whole document.
	Part string
}

// A Report is what an Audit has found.
type Report struct {
	// Problems are the disagreements, none of which may be.
	Problems []string
	// Tests holds for each case the directories of the tests named after it,
	// relative to the Root.
	Tests map[string][]string
}

var (
	// goName and nodeName find the numbers that a test's name begins with, number
	// any mention, and row the first cell of a table's row.
	goName   = regexp.MustCompile("[\"`]((?:[A-Z]\\d+_)+)")
	nodeName = regexp.MustCompile("\\btest\\([\"`]((?:[A-Z]\\d+ )+)")
	number   = regexp.MustCompile(`\b([A-Z])\d+\b`)
	row      = regexp.MustCompile(`^\| ([A-Z]\d+) \|`)
)

// Run compares. The document must have a row with a count for each of its
// Tables, for Tested and for "all".
func (a Audit) Run() (*Report, error) {
	all, err := Numbers(a.All)
	if err != nil {
		return nil, err
	}
	within, err := Numbers(a.Within)
	if err != nil {
		return nil, err
	}
	r := &Report{Tests: make(map[string][]string)}
	// Disagreements are collected rather than returned, so that one run reports
	// all of them.
	problem := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	if len(all) != a.Total {
		problem("the list has %d cases, not %d", len(all), a.Total)
	}
	letters := make(map[string]bool)
	for _, id := range all {
		letters[id[:1]] = true
	}
	if err := r.readTests(a.Root, letters); err != nil {
		return nil, err
	}
	// A case must have exactly one place: Tested, or the title of one table.
	places := make(map[string][]string)
	for id := range r.Tests {
		places[id] = append(places[id], Tested)
	}
	text, err := os.ReadFile(a.Document)
	if err != nil {
		return nil, err
	}
	if text, err = part(text, a.Part); err != nil {
		return nil, fmt.Errorf("cases: %s: %w", a.Document, err)
	}
	for _, m := range number.FindAllStringSubmatch(string(text), -1) {
		if id := m[0]; letters[m[1]] && !slices.Contains(all, id) && !slices.Contains(within, id) {
			problem("%s is no case, but the document mentions it", id)
		}
	}
	// Rows are looked at in the sections named in Tables only, by their title in
	// lower case.
	section := ""
	for line := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.ToLower(strings.TrimSpace(title))
		}
		if m := row.FindStringSubmatch(line); m != nil && slices.Contains(a.Tables, section) {
			places[m[1]] = append(places[m[1]], section)
		}
	}
	counts := map[string]int{Tested: 0, "all": len(all)}
	for _, table := range a.Tables {
		counts[table] = 0
	}
	for _, id := range all {
		switch in := places[id]; len(in) {
		case 0:
			problem("%s is neither tested nor in the document", id)
		case 1:
			counts[in[0]]++
		default:
			problem("%s is in %v", id, in)
		}
		delete(places, id)
	}
	for _, id := range within {
		if in := places[id]; len(in) != 1 || in[0] != Tested {
			problem("%s is covered by another case: it must be tested, and is in %v", id, in)
		}
		if !regexp.MustCompile(`\b` + id + `\b`).Match(text) {
			problem("the document does not mention %s", id)
		}
		delete(places, id)
	}
	for id, in := range places {
		problem("%s is no case, but is in %v %v", id, in, r.Tests[id])
	}
	for name, n := range counts {
		if line := fmt.Sprintf("| %s | %d |", name, n); !strings.Contains(string(text), line) {
			problem("the document has no line %q", line)
		}
	}
	slices.Sort(r.Problems)
	return r, nil
}

// part returns the part of a document with a title, all of it for "".
func part(text []byte, title string) (found []byte, err error) {
	if title == "" {
		return text, nil
	}
	inside := false
	for line := range bytes.Lines(text) {
		if name, ok := bytes.CutPrefix(line, []byte("# ")); ok {
			inside = string(bytes.TrimSpace(name)) == title
		}
		if inside {
			found = append(found, line...)
		}
	}
	if found == nil {
		return nil, fmt.Errorf("no part %q", title)
	}
	return found, nil
}

// readTests notes the directories of the tests below root by the numbers in their
// names. Numbers with other letters are names of something else.
func (r *Report) readTests(root string, letters map[string]bool) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if name == "node_modules" || name == ".git" {
				return fs.SkipDir
			}
			return nil
		}
		pattern := goName
		switch {
		case strings.HasSuffix(name, ".test.mjs"):
			pattern = nodeName
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, m := range pattern.FindAllStringSubmatch(string(text), -1) {
			for _, id := range strings.FieldsFunc(m[1], func(c rune) bool { return c == '_' || c == ' ' }) {
				if letters[id[:1]] && !slices.Contains(r.Tests[id], dir) {
					r.Tests[id] = append(r.Tests[id], dir)
				}
			}
		}
		return nil
	})
}
