package penstock_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurity holds the row of docs/security.md that is about the module.
func TestSecurity(t *testing.T) { t.Run("S24_supply_chain", supplyChain) }

// supplyChain runs the check of known vulnerabilities with a stand-in for
// govulncheck, since the list of them cannot be reached everywhere.
func supplyChain(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, says string
		code       int
		green      bool
		want       string
	}{
		{"nothing found", "No vulnerabilities found.", 0, true, "no known vulnerability"},
		{"a vulnerable version in go.mod", "Vulnerability #1: GO-2026-0001\n  A timeout while dialing lets an attacker look up hosts", 3, false, "GO-2026-0001"},
		{"no way to the list", "govulncheck: fetching vulnerabilities: dial tcp: lookup vuln.go.dev: no such host", 1, true, "LEFT OUT"},
		{"does not build", "govulncheck: loading packages: syntax error", 1, false, "syntax error"},
	} {
		dir := t.TempDir()
		script := fmt.Sprintf("#!%s\ncat <<'END'\n%s\nEND\nexit %d\n", bash, row.says, row.code)
		if err := os.WriteFile(filepath.Join(dir, "govulncheck"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), bash, ".ci/vulnerabilities")
		cmd.Env = append(os.Environ(), "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if (err == nil) != row.green || !strings.Contains(string(out), row.want) {
			t.Errorf("%s: %v\n%s", row.name, err, out)
		}
	}
	ci, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"golang.org/x/vuln/cmd/govulncheck@v", "\n.ci/vulnerabilities\n", "\ngo mod verify\n", "set -euo pipefail"} {
		if !strings.Contains(string(ci), want) {
			t.Errorf(".ci/run has no %q", want)
		}
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mod), "replace ") {
		t.Error("go.mod replaces a module: what users get is not what is tested")
	}
	if _, err := os.Stat("go.sum"); err != nil {
		t.Error(err)
	}
}

// TestSecurityTableIsComplete compares docs/security.md with the tests: every
// row is there, and every test that a row names is one.
func TestSecurityTableIsComplete(t *testing.T) {
	text, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| S(\d+) \|.*\| ([^|]*) \|$`)
	named := regexp.MustCompile("`([a-z/.]+)` `TestSecurity/(S(\\d\\d)_[a-z_]+)`")
	seen := map[string]bool{}
	for _, r := range row.FindAllStringSubmatch(string(text), -1) {
		if seen[r[1]] {
			t.Errorf("S%s stands there twice", r[1])
		}
		seen[r[1]] = true
		tests := named.FindAllStringSubmatch(r[2], -1)
		if len(tests) == 0 {
			t.Errorf("S%s names no test", r[1])
		}
		for _, n := range tests {
			if fmt.Sprintf("%02s", r[1]) != n[3] {
				t.Errorf("S%s names %s", r[1], n[2])
			}
			if !testFileHas(t, n[1], `"`+n[2]+`"`) || !testFileHas(t, n[1], "func TestSecurity(") {
				t.Errorf("%s has no %s", n[1], n[2])
			}
		}
	}
	for n := 1; n <= 24; n++ {
		if !seen[fmt.Sprint(n)] {
			t.Errorf("S%d is missing", n)
		}
	}
	if len(seen) != 24 {
		t.Errorf("%d rows, want 24", len(seen))
	}
}

func testFileHas(t *testing.T, dir, text string) bool {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), text) {
			return true
		}
	}
	return false
}

// TestSecurityOfTheProgramIsTested compares the rows about the example program in
// docs/security.md with its tests.
func TestSecurityOfTheProgramIsTested(t *testing.T) {
	text, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (P\d+) \|.*\| ([^|]*) \|$`).FindAllStringSubmatch(string(text), -1)
	if len(rows) < 16 {
		t.Errorf("%d rows", len(rows))
	}
	for _, r := range rows {
		tests := regexp.MustCompile("`(Test[A-Za-z]+)(?:/(S\\d\\d_[a-z_]+))?`").FindAllStringSubmatch(r[2], -1)
		if len(tests) == 0 {
			t.Errorf("%s names no test", r[1])
		}
		for _, n := range tests {
			if !testFileHas(t, "examples/pushpipeline", "func "+n[1]+"(") || n[2] != "" && !testFileHas(t, "examples/pushpipeline", `"`+n[2]+`"`) {
				t.Errorf("%s: there is no %s", r[1], n[0])
			}
		}
	}
}
