package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReplace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.md")
	if err := os.WriteFile(file, []byte("before\n\n<!-- rates -->\nold\n<!-- end of rates -->\n\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing
		if err := Replace(file, "rates", []byte("new\n")); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if want := "before\n\n<!-- rates -->\n\nnew\n\n<!-- end of rates -->\n\nafter\n"; err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if err := Replace(file, "costs", nil); err == nil {
		t.Error("a place that is not there was found")
	}
	for _, text := range []string{"", "<!-- rates -->\n", "<!-- end of rates -->\n<!-- rates -->\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Replace(file, "rates", []byte("new")); err == nil {
			t.Errorf("%q is not refused", text)
		}
	}
}

func TestItem(t *testing.T) {
	item := Item(strings.Repeat("word ", 60))
	for _, line := range strings.Split(item, "\n") {
		if len(line) > width {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if strings.Count(item, "word") != 60 || !strings.HasPrefix(item, "- word") || !strings.Contains(item, "\n  word") {
		t.Errorf("%q", item)
	}
}
