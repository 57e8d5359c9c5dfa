package penstock_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// laterTests is a command of .ci/run that runs tests without the race detector.
type laterTests struct {
	names    *regexp.Regexp // nil for all
	packages []string
}

// has reports whether it runs a test of a directory.
func (l laterTests) has(name, dir string) bool {
	return (l.names == nil || l.names.MatchString(name)) && slices.Contains(l.packages, dir)
}

// Whatever .ci/run leaves out under the race detector it runs without it afterwards.
func TestWhatCISkipsRunsLater(t *testing.T) {
	text, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	script := string(text)
	// Patterns in variables.
	for _, found := range regexp.MustCompile(`(?m)^(\w+)='(\^.*)'$`).FindAllStringSubmatch(script, -1) {
		script = strings.ReplaceAll(script, "$"+found[1], found[2])
	}
	found := regexp.MustCompile(`go test -race .* -skip "(.*?)" \./\.\.\.`).FindStringSubmatch(script)
	if found == nil {
		t.Fatal(".ci/run skips nothing under the race detector")
	}
	skipped := regexp.MustCompile(found[1])
	var later []laterTests
	command := regexp.MustCompile(`(?m)^ *(?:PENSTOCK_\w+=\S+ )?go test (?:-shuffle=on )?(?:-run (?:"(.*?)"|'(.*?)') )?(\./\S+(?: \./\S+)*|\.)$`)
	for _, found := range command.FindAllStringSubmatch(script, -1) {
		l := laterTests{packages: strings.Fields(found[3])}
		if pattern := found[1] + found[2]; pattern != "" {
			l.names = regexp.MustCompile(pattern)
		}
		later = append(later, l)
	}
	functions := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	n := 0
	err = filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir := "."
		if filepath.Dir(path) != "." {
			dir = "./" + filepath.ToSlash(filepath.Dir(path))
		}
		for _, found := range functions.FindAllSubmatch(source, -1) {
			name := string(found[1])
			if !skipped.MatchString(name) {
				continue
			}
			n++
			if !slices.ContainsFunc(later, func(l laterTests) bool { return l.has(name, dir) }) {
				t.Errorf("%s: .ci/run skips %s and does not run it later", path, name)
			}
		}
		return nil
	})
	if err != nil || n < 10 {
		t.Errorf("%d tests that are skipped, %v", n, err)
	}
}
