package deadletter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func letter(key string) Letter {
	l := Of(map[string]string{"text": "<" + key + "> & ä\n"}, nil)
	l.Pipeline, l.Stage, l.Key, l.Error, l.Attempts = "p", "s", key, "no", 3
	l.First, l.Last = time.Unix(1e9, 5), time.Unix(1e9, 7)
	return l
}

func letters(keys ...string) (all []Letter) {
	for _, key := range keys {
		all = append(all, letter(key))
	}
	return all
}

func openFile(t *testing.T, path string, cfg FileConfig) *File {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	f, err := NewFile(path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func put(t *testing.T, s Sink, keys ...string) {
	t.Helper()
	if err := s.Write(t.Context(), letters(keys...)); err != nil {
		t.Fatal(err)
	}
}

// keysOf returns the keys of the letters in the files of path, and the errors.
func keysOf(t *testing.T, path string) (keys []string, errs []error) {
	t.Helper()
	paths, err := Files(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		for l, err := range ReadFile(p) {
			if err != nil {
				errs = append(errs, err)
				continue
			}
			keys = append(keys, l.Key)
		}
	}
	return keys, errs
}

// expect fails unless path holds letters with these keys and nothing else.
func expect(t *testing.T, path string, want ...string) {
	t.Helper()
	got, errs := keysOf(t, path)
	if !slices.Equal(got, want) || len(errs) > 0 {
		t.Errorf("the file has %q, %v, want %q", got, errs, want)
	}
}

func TestFileKeepsLetters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.ndjson")
	f := openFile(t, path, FileConfig{})
	put(t, f, "a", "b")
	put(t, f, "c")
	expect(t, path, "a", "b", "c") // while it is open
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(t.Context(), letters("x")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a closed file: %v", err)
	}
	put(t, openFile(t, path, FileConfig{}), "d")
	expect(t, path, "a", "b", "c", "d")
	for l, err := range ReadFile(path) {
		want := letter(l.Key)
		if err != nil || !l.First.Equal(want.First) || !l.Last.Equal(want.Last) {
			t.Fatalf("%+v, %v", l, err)
		}
		l.First, l.Last = want.First, want.Last
		if fmt.Sprint(l) != fmt.Sprint(want) {
			t.Errorf("%+v, want %+v", l, want)
		}
	}
	if runtime.GOOS != "windows" {
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := openFile(t, path+"2", FileConfig{}).Write(ctx, letters("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("Write with a context that is done: %v", err)
	}
}

// A crash may cut a write off at any byte: whole letters are read, and the next File goes
// on behind them.
func TestFileCutAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whole")
	f := openFile(t, path, FileConfig{})
	put(t, f, "a", "b", "c")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) + 1 {
		path := filepath.Join(dir, "cut")
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		n, rest := bytes.Count(whole[:cut], []byte("\n")), cut-bytes.LastIndexByte(whole[:cut], '\n')-1
		if rest > 0 && cut < len(whole) && whole[cut] == '\n' {
			n, rest = n+1, 0 // only the end of the line is missing
		}
		keys, errs := keysOf(t, path)
		if !slices.Equal(keys, []string{"a", "b", "c"}[:n]) {
			t.Fatalf("cut at %d: read %q", cut, keys)
		}
		if rest == 0 && len(errs) > 0 || rest > 0 && (len(errs) != 1 || !errors.Is(errs[0], ErrCutOff)) {
			t.Fatalf("cut at %d: errors %v", cut, errs)
		}
		var log bytes.Buffer
		f := openFile(t, path, FileConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		put(t, f, "d")
		expect(t, path, append([]string{"a", "b", "c"}[:n:n], "d")...)
		if want := fmt.Sprintf("bytes=%d\n", rest); rest > 0 != strings.Contains(log.String(), want) {
			t.Fatalf("cut at %d, %d bytes of a letter: the log is %q", cut, rest, &log)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFileRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters")
	size := int64(len(appendLine(nil, letter("00"))))
	var want []string
	for round := range 3 {
		f := openFile(t, path, FileConfig{MaxBytes: 2 * size})
		for i := range 5 {
			key := fmt.Sprintf("%d%d", round, i)
			want = append(want, key)
			put(t, f, key)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, path, want...)
	paths, _ := Files(path)
	if len(paths) != 8 || paths[0] != path+".000001" || paths[7] != path {
		t.Errorf("files %q", paths)
	}
	// A batch is never divided.
	f := openFile(t, path, FileConfig{MaxBytes: 1})
	put(t, f, "x", "y", "z")
	put(t, f, "w")
	expect(t, path, append(want, "x", "y", "z", "w")...)
	if paths, _ := Files(path); len(paths) != 10 {
		t.Errorf("files %q", paths)
	}
}

// A file that an operator moves, deletes or empties meanwhile is made again, so that no
// letter goes where it cannot be found.
func TestFileThatIsReplaced(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be renamed")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "letters")
	f := openFile(t, path, FileConfig{})
	put(t, f, "a")
	for i, change := range []func() error{
		func() error { return os.Rename(path, path+".old") },
		func() error { return os.Remove(path) },
		func() error { return os.Truncate(path, 0) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprint(i)
		put(t, f, key)
		expect(t, path, key)
	}
	if err := os.WriteFile(path, []byte(`{"cut`), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, f, "b")
	expect(t, path, "b")
}

func TestFileHasOneWriter(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no flock")
	}
	path := filepath.Join(t.TempDir(), "letters")
	f := openFile(t, path, FileConfig{})
	if _, err := NewFile(path, FileConfig{Logger: quiet}); err == nil || !strings.Contains(err.Error(), "another sink") {
		t.Errorf("a second one: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	openFile(t, path, FileConfig{})
	if _, err := NewFile(filepath.Join(path, "no", "dir"), FileConfig{}); err == nil {
		t.Error("no error without a directory")
	}
}

func TestFileOfSeveralStages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters")
	f := openFile(t, path, FileConfig{MaxBytes: 5000})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 25 {
				if err := f.Write(context.Background(), letters(fmt.Sprintf("%d/%d", g, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if keys, errs := keysOf(t, path); len(keys) != 100 || len(errs) > 0 {
		t.Errorf("%d letters, %v", len(keys), errs)
	}
}

// A letter that has no JSON form must not stop those behind it.
func TestFileTakesAnyLetter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters")
	f := openFile(t, path, FileConfig{})
	if err := f.Write(t.Context(), []Letter{
		{Event: json.RawMessage(`{"no`), Key: "event"},
		{Key: "none", Error: "\xff"},
		{Event: json.RawMessage("{\n\"a\": 1}"), Key: "lines"},
		{Event: json.RawMessage(`1`), First: time.Unix(math.MaxInt32*1000, 0), Key: "time"},
		letter("good"),
	}); err != nil {
		t.Fatal(err)
	}
	expect(t, path, "event", "none", "lines", "time", "good")
	for l := range ReadFile(path) {
		data, err := l.Bytes()
		if l.Key == "event" && (string(data) != `{"no` || err != nil || l.EncodeError == "") || l.Key == "time" && l.EncodeError == "" {
			t.Errorf("%+v: %q, %v", l, data, err)
		}
	}
}

func TestReadGoesOnAfterBadLines(t *testing.T) {
	good := string(appendLine(nil, letter("a")))
	text := "x\n" + good + "\n  \n{}\n[1]\n\x00\x00\n" + good + `{"stage":"s","event":1}`
	var got []string
	for l, err := range Read(strings.NewReader(text)) {
		bad, ok := errors.AsType[*LineError](err)
		switch {
		case ok:
			got = append(got, fmt.Sprintf("!%d", bad.Line))
		case err != nil:
			t.Fatal(err)
		default:
			got = append(got, l.Stage)
		}
	}
	if fmt.Sprint(got) != "[!1 s !5 !6 !7 s s]" {
		t.Errorf("%v", got)
	}
	for range Read(strings.NewReader(text)) {
		break
	}
	for _, err := range ReadFile(filepath.Join(t.TempDir(), "none")) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
	}
}

func TestMemoryRefusesWhatHasNoRoom(t *testing.T) {
	m, err := NewMemory(MemoryConfig{Max: 3})
	if err != nil {
		t.Fatal(err)
	}
	put(t, m, "a", "b")
	if err := m.Write(t.Context(), letters("c", "d")); err == nil || !strings.Contains(err.Error(), `2 dead letters of at most 3: no room for 2 more, from stage "s" on`) {
		t.Errorf("%v", err)
	}
	put(t, m, "c")
	if n := len(m.Letters()); n != 3 || len(m.Take()) != 3 || len(m.Letters()) != 0 {
		t.Errorf("%d letters", n)
	}
	put(t, m, "d")
}
