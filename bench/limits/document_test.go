package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/penstock-go/penstock/bench/internal/report"
)

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
		if err := report.Replace(copied, name, []byte("new")); err != nil {
			t.Error(err)
		}
	}
}
