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

// Tests that .ci/run leaves out under the race detector are in packages whose tests it all
// runs without the detector afterwards, or are the programs of the documents.
func TestWhatCISkipsRunsLater(t *testing.T) {
	text, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	find := func(pattern string) string {
		t.Helper()
		found := regexp.MustCompile(pattern).FindStringSubmatch(string(text))
		if found == nil {
			t.Fatalf(".ci/run has no %s", pattern)
		}
		return found[1]
	}
	documented := find(`documented='(.*)'`)
	skipped := regexp.MustCompile(strings.ReplaceAll(find(`-skip "(.*?)"`), "$documented", documented))
	later := strings.Fields(find(`go test -shuffle=on (\./.*)`))
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
		for _, found := range functions.FindAllSubmatch(source, -1) {
			name := string(found[1])
			if !skipped.MatchString(name) || filepath.Dir(path) == "." && regexp.MustCompile(documented).MatchString(name) {
				continue
			}
			n++
			if !slices.Contains(later, "./"+filepath.ToSlash(filepath.Dir(path))) {
				t.Errorf("%s: .ci/run skips %s and does not run it later", path, name)
			}
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Errorf("%d tests that are skipped, %v", n, err)
	}
}
