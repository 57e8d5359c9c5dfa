// Package report is how commands that measure describe the machine, put their tables into
// Markdown documents, and write what they have measured for other commands.
package report

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// width is how long a line of text may be.
const width = 120

// Replace puts text between the lines "<!-- NAME -->" and "<!-- end of NAME -->" of file.
func Replace(file, name string, text []byte) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin, end := fmt.Appendf(nil, "<!-- %s -->\n", name), fmt.Appendf(nil, "<!-- end of %s -->", name)
	before, rest, ok := bytes.Cut(old, begin)
	_, after, ended := bytes.Cut(rest, end)
	if !ok || !ended {
		return fmt.Errorf("%s has no place for %q: %s and %s are missing", file, name, bytes.TrimSpace(begin), end)
	}
	parts := [][]byte{before, begin, []byte("\n"), bytes.TrimSpace(text), []byte("\n\n"), end, after}
	return os.WriteFile(file, bytes.Join(parts, nil), 0o644)
}

// Item is a line of a list, broken where it is too long.
func Item(text string) string {
	var b strings.Builder
	b.WriteString("-")
	used := 1
	for word := range strings.FieldsSeq(text) {
		if used+1+len(word) > width {
			b.WriteString("\n ")
			used = 1
		}
		b.WriteString(" " + word)
		used += 1 + len(word)
	}
	return b.String() + "\n"
}
