package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Everybody who takes part arrives at the right result, or says why not.
func TestEverybodyIsRight(t *testing.T) {
	patience = 2 * time.Second
	// These come to a wrong result or to none for reasons of their own, which
	// the table shows.
	known := map[string]bool{"ergo gen.Stage W3": true, "ergo gen.Stage W5": true}
	for _, l := range []struct {
		all   []contestant
		works []work
	}{{contestants(), works}, {pipelineContestants(), pipelineWorks}, {handoverContestants(nil), handoverWorks}} {
		everybodyIsRight(t, l.all, l.works, known)
	}
}

func everybodyIsRight(t *testing.T, all []contestant, works []work, known map[string]bool) {
	for _, c := range all {
		for _, w := range works {
			t.Run(c.name+" "+w.name, func(t *testing.T) {
				if c.runs[w.name] == nil {
					if c.cannot[w.name] == "" {
						t.Fatal("neither a run nor a reason")
					}
					return
				}
				if _, err := run(w, c, step); err != nil {
					if known[c.name+" "+w.name] {
						t.Log(err)
						return
					}
					t.Fatal(err)
				}
			})
		}
	}
}

// What a contestant is must be said; one without a kind is not a peer.
func TestEverybodyHasAKind(t *testing.T) {
	for _, all := range [][]contestant{contestants(), pipelineContestants(), handoverContestants(nil)} {
		if err := requireKinds(all); err != nil {
			t.Error(err)
		}
	}
	for _, f := range foreigners {
		for _, r := range f.rows {
			if err := requireKinds([]contestant{{name: r.name, kind: r.kind}}); err != nil {
				t.Error(err)
			}
		}
	}
	if err := requireKinds([]contestant{{name: "stage of our own"}}); err == nil || !strings.Contains(err.Error(), "stage of our own") {
		t.Errorf("a contestant without a kind: %v", err)
	}
}

func TestCheckFindsFaults(t *testing.T) {
	for _, w := range append(slices.Clone(works), pipelineWorks...) {
		sums := make([]sum, w.takers)
		if w.check(step, sums) == nil || w.check(step, sums[:w.takers-1]) == nil {
			t.Errorf("%s: nothing arrived, and nobody noticed", w.name)
		}
	}
}

func TestTableShowsDashesWithReasons(t *testing.T) {
	all := []contestant{{name: "reference"}, {name: "half"}, {name: "none"}}
	var out bytes.Buffer
	if err := table(&out, works[:1], all, [][]entry{{{perSecond: 2e6}, {perSecond: 1e6}, {reason: errors.New("it cannot").Error()}}}, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 (1)", "1 (0.5)", "| —", "— none, W1: it cannot."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing from\n%s", want, out.String())
		}
	}
}

func TestWrongFlags(t *testing.T) {
	for _, args := range [][]string{{"-time", "0s"}, {"-work", "W9"}, {"-work", "P1"}, {"-pipelines", "-work", "W1"}, {"-handover", "-work", "W1"}, {"-handover", "-pipelines"}, {"-nothing"}, {"-write", "x"}, {"-pipelines", "-write", "x"}, {"-handover", "-work", "W6", "-write", "x"}} {
		var out, progress bytes.Buffer
		if err := mainErr(args, &out, &progress); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}

func TestPicture(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rates.svg")
	all := []contestant{{name: "reference"}, {name: "none"}}
	if err := draw(file, works[:1], all, [][]entry{{{perSecond: 2e6}, {reason: "it cannot"}}}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", ">reference<", ">2<", "W1: one consumer"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%q is missing from\n%s", want, got)
		}
	}
	if err := draw(t.TempDir(), works[:1], all, [][]entry{{{perSecond: 2e6}, {}}}); err == nil {
		t.Error("a directory was drawn into")
	}
}
