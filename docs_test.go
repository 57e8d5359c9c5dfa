package penstock_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// build compiles complete programs, by name, into one binary, which runs the one that its
// first argument names: linking each of them alone takes most of a test's time. An overlay
// adds the programs to the module as packages.
func build(t *testing.T, programs map[string]string) (binary string) {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	const all = "github.com/penstock-go/penstock/internal/documented/"
	sources := t.TempDir()
	binary = filepath.Join(sources, "programs.exe")
	replace := make(map[string]string)
	add := func(name, source string) {
		file := filepath.Join(sources, name+".go")
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, "internal", "documented", name, "main.go")] = file
	}
	var imports, cases strings.Builder
	for name, source := range programs {
		body, isProgram := strings.CutPrefix(source, "package main\n")
		before, after, hasMain := strings.Cut(body, "\nfunc main() {")
		if !isProgram || !hasMain {
			t.Fatalf("%s is no program:\n%s", name, source)
		}
		add(name, "package "+name+"\n"+before+"\nfunc Main() {"+after)
		fmt.Fprintf(&imports, "import %q\n", all+name)
		fmt.Fprintf(&cases, "case %q: %s.Main()\n", name, name)
	}
	add("all", "package main\nimport \"os\"\n"+imports.String()+"func main() {\nname := os.Args[1]\nos.Args = os.Args[:1]\nswitch name {\n"+
		cases.String()+"default: panic(name)\n}\n}\n")
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(sources, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"build", "-ldflags=-s -w", "-overlay", filepath.Join(sources, "overlay.json"), "-o", binary, all + "all"}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// output runs a program that build has compiled and returns what it printed on its
// standard output. The log, on the standard error, is not part of a program's text.
func output(t *testing.T, binary, name string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, name)
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, &log)
	}
	return string(out)
}

// fence is a fenced block of a Markdown file.
type fence struct {
	heading, language, text string
}

func fences(t *testing.T, file string) []fence {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []fence
	heading, open := "", false
	for line := range strings.Lines(string(text)) {
		mark, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && !open:
			all = append(all, fence{heading: heading, language: strings.TrimSpace(mark)})
			open = true
		case isFence:
			open = false
		case open:
			all[len(all)-1].text += line
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	return all
}

// TestGuideProgramsRun compiles and runs every program of the guide and compares
// what it prints with the block after it.
func TestGuideProgramsRun(t *testing.T) {
	all := fences(t, "docs/guide.md")
	sources := make(map[string]string)
	type expectation struct{ heading, name, output string }
	var expected []expectation
	for i, f := range all {
		if f.language != "go" {
			continue
		}
		if !strings.HasPrefix(f.text, "package main\n") {
			t.Errorf("%s: a Go block is not a program", f.heading)
			continue
		}
		if pretty, err := format.Source([]byte(f.text)); err != nil {
			t.Errorf("%s: %v", f.heading, err)
		} else if string(pretty) != f.text {
			t.Errorf("%s: the program is not formatted as gofmt does", f.heading)
		}
		if i+1 == len(all) || all[i+1].language != "text" {
			t.Errorf("%s: the program's output does not follow it", f.heading)
			continue
		}
		name := fmt.Sprintf("guide%02d", len(sources)+1)
		sources[name] = f.text
		expected = append(expected, expectation{f.heading, name, all[i+1].text})
	}
	if t.Failed() || len(expected) == 0 {
		t.Fatalf("%d programs found", len(expected))
	}
	binary := build(t, sources)
	for _, e := range expected {
		t.Run(strings.ReplaceAll(e.heading, " ", "_"), func(t *testing.T) {
			if got := output(t, binary, e.name); got != e.output {
				t.Errorf("printed\n%s\nnot\n%s", got, e.output)
			}
		})
	}
}

// TestArchitectureNamesEveryFile compares the file map with the tree.
func TestArchitectureNamesEveryFile(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	room := regexp.MustCompile("^### `([a-z/]+)`")
	row := regexp.MustCompile("^\\| `([a-z0-9_]+\\.go)` \\| .+ \\|$")
	mapped := make(map[string]bool)
	dir := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			dir = ""
		}
		if m := room.FindStringSubmatch(line); m != nil {
			dir = m[1]
		}
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		file := filepath.Join(dir, m[1])
		if _, err := os.Stat(file); dir == "" || err != nil {
			t.Errorf("the map names %s, which is not there", file)
		}
		if mapped[file] {
			t.Errorf("the map names %s twice", file)
		}
		mapped[file] = true
	}
	for _, top := range []string{
		"stage", "dispatcher", "producer", "consumer", "deadletter", "cmd", "gostreams", "metrics", "receipt", "internal/feed", "internal/gcra", "internal/heap", "internal/kafkatest", "internal/mailbox", "internal/option",
		"internal/ring", "pubsub", "presence", "sinks/websocket", "token", "internal/crash", "internal/pattern",
		"pipeline", "retry", "internal/complain", "internal/object", "internal/pace", "internal/ports",
	} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			if !mapped[path] {
				t.Errorf("the map does not name %s", path)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestDocsLinks looks for the files and headings that the documents link to.
func TestDocsLinks(t *testing.T) {
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	design, err := filepath.Glob("docs/design/*.md")
	if err != nil || len(files) == 0 || len(design) == 0 {
		t.Fatal(err, len(files), len(design))
	}
	for _, file := range append(append(files, design...), "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		prose := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(string(text), "")
		for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(prose, -1) {
			path, anchor, _ := strings.Cut(link[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), path)); err != nil {
				t.Errorf("%s links to %s: %v", file, link[1], err)
			}
			target := prose
			if path != "" && anchor != "" {
				text, err := os.ReadFile(filepath.Join(filepath.Dir(file), path))
				if err != nil {
					t.Error(err)
				}
				target = string(text)
			}
			if anchor != "" && !hasHeading(target, anchor) {
				t.Errorf("%s links to %s, which has no such heading", file, link[1])
			}
		}
	}
}

// TestQuotes: what documents have of package comments, as quotations, is there word for
// word.
func TestQuotes(t *testing.T) {
	for document, packages := range map[string][]string{
		"docs/kafka.md":   {"producer/kafka"},
		"docs/cluster.md": {"pubsub", "sinks/websocket/delivery", "presence"},
	} {
		comments := ""
		for _, p := range packages {
			comments += regexp.MustCompile(`(?m)^// ?`).ReplaceAllString(plain(t, p+"/doc.go"), "")
		}
		comments = strings.Join(strings.Fields(comments), " ")
		quotes := regexp.MustCompile(`(?m)(?:^> .*\n)+`).FindAllString(plain(t, document), -1)
		for _, quote := range quotes {
			quote = strings.Join(strings.Fields(strings.ReplaceAll("\n"+quote, "\n> ", "\n")), " ")
			if !strings.Contains(comments, quote) {
				t.Errorf("%s quotes what no package comment has: %s", document, quote)
			}
		}
		if len(quotes) == 0 {
			t.Errorf("%s has no quotations", document)
		}
	}
}

// plain returns the text of a file.
func plain(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// hasHeading reports whether a Markdown text has a heading with that anchor.
func hasHeading(text, anchor string) bool {
	drop := regexp.MustCompile(`[^a-z0-9 -]`)
	for line := range strings.Lines(text) {
		title := strings.TrimSpace(strings.TrimLeft(line, "#"))
		slug := strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
		if strings.HasPrefix(line, "#") && slug == anchor {
			return true
		}
	}
	return false
}
