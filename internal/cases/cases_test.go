package cases

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNumbers(t *testing.T) {
	for in, want := range map[string]string{
		"":              "[] true",
		"K1-3 5":        "[K1 K2 K3 K5] true",
		"K1-2 L1 3 M2":  "[K1 K2 L1 L3 M2] true",
		"K1 L1 K2":      "[] false",
		"1-3":           "[] false",
		"Kx":            "[] false",
		"K1-y":          "[] false",
		"K3-2":          "[] false",
		"K1-3 3":        "[] false",
		"K1-3 5 4":      "[] false",
		"K1-3 GK4 junk": "[] false",
	} {
		all, err := Numbers(in)
		if got := fmt.Sprint(all, err == nil); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestRangeString(t *testing.T) {
	ranges, err := Parse("K1-3 L5")
	if got := fmt.Sprint(ranges, err); got != "[K1-3 L5] <nil>" {
		t.Error(got)
	}
}

// agreeing is a set of files in which everything agrees.
func agreeing() (Audit, map[string]string) {
	return Audit{All: "K1-3 169 L1-2", Total: 6, Within: "K7", Document: "doc.md", Tables: []string{"other", "not applicable"}}, map[string]string{
		"a_test.go":      "run(\"K1_one\"); run(`L1_x, a comma`); run(\"N9_not ours\"); run(\"not K8_ours\") }",
		"sub/b_test.go":  `run("K2_K7_several/"+name)`,
		"sub/c.test.mjs": `test("K169 node", f)`,
		"sub/d.go":       `run("K55_no test")`,
		"doc.md": `| tested under their number | 4 |
| other | 1 |
| not applicable | 1 |
| all | 6 |
## Other
| K3 | as K1 |
K7 is covered by K2.
## Not applicable
| L2 | because |
`,
	}
}

func run(t *testing.T, a Audit, files map[string]string) (*Report, string) {
	t.Helper()
	a.Root = t.TempDir()
	a.Document = filepath.Join(a.Root, a.Document)
	for name, text := range files {
		path := filepath.Join(a.Root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := a.Run()
	if err != nil {
		t.Fatal(err)
	}
	return r, strings.Join(r.Problems, "; ")
}

func TestAuditThatAgrees(t *testing.T) {
	a, files := agreeing()
	r, problems := run(t, a, files)
	if problems != "" {
		t.Error(problems)
	}
	if got := fmt.Sprint(r.Tests["K1"], r.Tests["K7"], r.Tests["K169"], r.Tests["K8"]); got != "[.] [sub] [sub] []" {
		t.Error(got)
	}
}

// Each way in which list, tests and document can disagree is a problem.
func TestAuditThatDoesNot(t *testing.T) {
	for name, c := range map[string]struct {
		change func(a *Audit, files map[string]string)
		want   []string
	}{
		"a case nowhere": {
			func(_ *Audit, f map[string]string) { f["sub/c.test.mjs"] = `test.skip("K169 node", f)` },
			[]string{"K169 is neither tested nor in the document", `the document has no line "| tested under their number | 3 |"`},
		},
		"a case in two places": {
			func(_ *Audit, f map[string]string) { f["e_test.go"] = `"K3_three"` },
			[]string{"K3 is in [tested under their number other]", `the document has no line "| other | 0 |"`},
		},
		"a tested number that is not listed": {
			func(_ *Audit, f map[string]string) { f["e_test.go"] = `"K212_more"` },
			[]string{"K212 is no case, but is in [tested under their number] [.]"},
		},
		"a number in a table that is not listed": {
			func(_ *Audit, f map[string]string) { f["doc.md"] += "| L9 | because |\n" },
			[]string{"L9 is no case, but is in [not applicable] []", "L9 is no case, but the document mentions it"},
		},
		"a number in the text that is not listed": {
			func(_ *Audit, f map[string]string) { f["doc.md"] += "See L9.\n" },
			[]string{"L9 is no case, but the document mentions it"},
		},
		"a table that does not count": {
			func(a *Audit, f map[string]string) { a.Tables = a.Tables[:1] },
			[]string{"L2 is neither tested nor in the document"},
		},
		"a list cut short": {
			func(a *Audit, f map[string]string) { a.All = "K1-3 L1-2" },
			[]string{
				"K169 is no case, but is in [tested under their number] [sub]", "the list has 5 cases, not 6",
				`the document has no line "| all | 5 |"`, `the document has no line "| tested under their number | 3 |"`,
			},
		},
		"a covered case without a test": {
			func(a *Audit, f map[string]string) { f["sub/b_test.go"] = `"K2_two"` },
			[]string{"K7 is covered by another case: it must be tested, and is in []"},
		},
		"a covered case that the document is silent about": {
			func(a *Audit, f map[string]string) { f["doc.md"] = strings.ReplaceAll(f["doc.md"], "K7", "One") },
			[]string{"the document does not mention K7"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, files := agreeing()
			c.change(&a, files)
			slices.Sort(c.want)
			if _, problems := run(t, a, files); problems != strings.Join(c.want, "; ") {
				t.Errorf("got %s", problems)
			}
		})
	}
}
