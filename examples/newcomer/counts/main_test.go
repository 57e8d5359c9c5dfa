package main

import (
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The program prints each word of its input with its count.
func TestCounts(t *testing.T) {
	log.SetOutput(io.Discard)
	file := func(name, text string) *os.File {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	in := file("in", strings.Repeat("the quick brown fox\n", 1000)+strings.Repeat("jumps over the lazy dog\n", 500))
	out := file("out", "")
	stdin, stdout := os.Stdin, os.Stdout
	defer func() { os.Stdin, os.Stdout = stdin, stdout }()
	os.Stdin, os.Stdout = in, out
	main()
	got, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	const want = "brown 1000\ndog 500\nfox 1000\njumps 500\nlazy 500\nover 500\nquick 1000\nthe 1500\n"
	if string(got) != want {
		t.Errorf("printed\n%s\nnot\n%s", got, want)
	}
}
