package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDocument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a\n<!-- growth -->\nold\n<!-- end of growth -->\nz\n")
	for range 2 { // it can be done again
		if err := document(file, "growth", "\n| new |\n"); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if want := "a\n<!-- growth -->\n\n| new |\n\n<!-- end of growth -->\nz\n"; err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
	}
	for _, text := range []string{"", "<!-- growth -->\n", "<!-- end of growth -->\n<!-- growth -->\n"} {
		write(text)
		if err := document(file, "growth", "new"); err == nil {
			t.Errorf("%q is not refused", text)
		}
	}
}

// The pages have the marks that make limits writes between.
func TestPagesHaveMarks(t *testing.T) {
	for file, name := range map[string]string{"performance.md": "limits", "growth.md": "growth"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", file))
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(t.TempDir(), file)
		if err := os.WriteFile(copied, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := document(copied, name, "new"); err != nil {
			t.Error(err)
		}
	}
}
