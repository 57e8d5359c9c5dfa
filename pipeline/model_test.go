package pipeline_test

import (
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

// TestModelOfWholePipelines runs random pipelines, with failures, dead letters, crashes, and
// every control at random moments, in virtual time. PENSTOCK_SEED=n runs one seed, and
// PENSTOCK_LONG=1 runs 20,000.
func TestModelOfWholePipelines(t *testing.T) {
	first, n := uint64(0), uint64(300)
	if testing.Short() {
		n = 60
	}
	if os.Getenv("PENSTOCK_LONG") != "" {
		n = 20_000
	}
	if s := os.Getenv("PENSTOCK_SEED"); s != "" {
		a, b, several := strings.Cut(s, "+")
		var err error
		if first, err = strconv.ParseUint(a, 10, 64); err != nil {
			t.Fatal(err)
		}
		n = 1
		if several {
			n, _ = strconv.ParseUint(b, 10, 64)
		}
	}
	for seed := first; seed < first+n; seed++ {
		if os.Getenv("PENSTOCK_TRACE") != "" {
			println("seed", seed)
		}
		synctest.Test(t, func(t *testing.T) { runModel(t, seed) })
		if t.Failed() {
			t.Fatalf("again with PENSTOCK_SEED=%d", seed)
		}
	}
}

func runModel(t *testing.T, seed uint64) {
	r := &modelRun{
		t: t, seed: seed, doomed: map[*modelNode]int{}, got: map[string]int{}, tries: map[string]int{},
		letters: map[string]int{}, newest: map[string][]int{}, late: map[int]bool{},
	}
	r.logger = slog.New(r)
	r.life()
	for _, fault := range r.faults[:min(len(r.faults), 8)] {
		t.Error(fault)
	}
	if t.Failed() {
		for _, line := range r.lines[max(0, len(r.lines)-modelLines):] {
			t.Log(line)
		}
		t.Logf("seed %d: %s", seed, strings.Join(r.shape, " > "))
	}
}
