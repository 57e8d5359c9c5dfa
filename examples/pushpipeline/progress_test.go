package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProgressInALog: what is no terminal gets records of the log alone, one each ten seconds.
func TestProgressInALog(t *testing.T) {
	var out bytes.Buffer
	progress := newProgress(false, &out, slog.New(slog.NewJSONHandler(&out, nil)), "")
	for second := 1; second <= 30; second++ {
		progress(status{Uptime: float64(second) + float64(second)/1000, Delivered: int64(second), Discarded: map[string]int64{"a": 1, "b": 2}})
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines in 30 s:\n%s", len(lines), out.String())
	}
	for i, line := range lines {
		var record struct {
			Msg       string  `json:"msg"`
			Uptime    int     `json:"uptime_s"`
			Delivered float64 `json:"delivered"`
			Discarded int     `json:"discarded"`
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("not JSON: %s", line)
		}
		if want := (i + 1) * 10; record.Msg != "progress" || record.Uptime != want || record.Delivered != float64(want) || record.Discarded != 3 {
			t.Errorf("line %d: %s", i, line)
		}
	}
}

func TestProgressOnATerminal(t *testing.T) {
	var out bytes.Buffer
	progress := newProgress(true, &out, nil, "drop")
	progress(status{Uptime: 1})
	progress(status{Uptime: 2})
	if text := out.String(); strings.Count(text, "\n") != 2 || strings.Count(text, "drop    ") != 2 {
		t.Error(text)
	}
}

func TestAFileIsNoTerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if forPeople(f) {
		t.Error("a file counts as a terminal")
	}
	if !forPeople(new(bytes.Buffer)) {
		t.Error("a test's writer does not count as one")
	}
}
