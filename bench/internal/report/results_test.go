package report

import (
	"os"
	"path/filepath"
	"testing"
)

func TestResultsAreReadAgainOnTheSameMachineOnly(t *testing.T) {
	here := ThisMachine(t.Context())
	if here.Date == "" || here.Processor == "" {
		t.Errorf("%+v", here)
	}
	file := filepath.Join(t.TempDir(), "results.json")
	here.Commit = "abcdef0"
	if _, found, err := ReadResults(file); found || err != nil {
		t.Error(found, err)
	}
	want := Result{"W1", "ours", Ours, "M/s", 2.5}
	if err := (Results{here, []Result{want}}).Write(file); err != nil {
		t.Fatal(err)
	}
	got, found, err := ReadResults(file)
	if !found || !got.Of(here) || err != nil || len(got.Results) != 1 || got.Results[0] != want {
		t.Errorf("%+v, %v, %v", got, found, err)
	}
	there := here
	there.Commit = "another"
	if got.Of(there) {
		t.Errorf("%+v is not of %v", got, there)
	}
	for _, commit := range []string{"abcdef0+", "unknown", ""} {
		there.Commit = commit
		if (Results{Machine: there}).Of(there) {
			t.Errorf("commit %q does not say which files were measured", commit)
		}
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadResults(file); err == nil {
		t.Error("half a file is read")
	}
}

func TestBest(t *testing.T) {
	r := Results{Results: []Result{
		{"W1", "a", Peer, "M/s", 1}, {"W1", "b", Peer, "M/s", 3}, {"W1", "c", Peer, "M/s", 2}, {"W1", "none", Peer, "M/s", 0},
		{"W1", "bare", Limit, "M/s", 9}, {"W2", "d", Peer, "M/s", 9}, {"W1", "e", Peer, "ms", 0.5},
	}}
	if best, found := r.Best(Peer, "W1", "M/s", false); !found || best.Name != "b" {
		t.Error(best, found)
	}
	if best, found := r.Best(Peer, "W1", "M/s", true); !found || best.Name != "a" {
		t.Error(best, found)
	}
	if !r.Has("W1", "W2") || r.Has("W1", "W3") {
		t.Error("it has W1 and W2")
	}
	if best, found := r.Best(Peer, "W3", "M/s", true); found {
		t.Error(best)
	}
}
