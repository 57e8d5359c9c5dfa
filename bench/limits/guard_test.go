package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
)

// scripted returns the given shares in turn, and then the last one again and again.
func scripted(shares map[string][]share) (measurement, map[string]int) {
	asked := make(map[string]int)
	return func(_ context.Context, row string, _ time.Duration) (share, error) {
		all := shares[row]
		v := all[min(asked[row], len(all)-1)]
		asked[row]++
		return v, nil
	}, asked
}

func TestGuard(t *testing.T) {
	was := base{Shares: map[string]share{"a": {0.9, 0.8}, "b": {1.2, 1.1}}}
	good, a := share{1.2, 1.1}, share{0.9, 0.8}
	for name, c := range map[string]struct {
		a, b           []share
		others         float64
		fallen         bool
		want           string
		timesA, timesB int
	}{
		"as it was":              {[]share{a}, []share{good}, 0, false, "ok", 3, 3},
		"a third is allowed":     {[]share{{0.61, 0.54}}, []share{{0.81, 0.74}}, 0, false, "ok", 3, 3},
		"one bad run of three":   {[]share{{0.1, 0.1}, a, a}, []share{good}, 0, false, "ok", 3, 3},
		"bad at first":           {[]share{{0.3, 0.8}, {0.3, 0.8}, {0.3, 0.8}, a}, []share{good}, 0, false, "ok, 0.3 and 0.8 at first", 6, 3},
		"bad three times":        {append(slices.Repeat([]share{{0.3, 0.8}}, 9), a), []share{good}, 0, false, "ok, 0.3 and 0.8 at first", 12, 3},
		"slower":                 {[]share{a}, []share{{0.79, 1.1}}, 0, true, "FALLEN", 3, 12},
		"busier":                 {[]share{a}, []share{{1.2, 0.5}}, 0, true, "FALLEN", 3, 12},
		"slower, a busy machine": {[]share{a}, []share{{0.1, 1.1}}, 0.5, false, "\n1 of 2 rows were not judged.\n", 3, 12},
		"both, a crowded one":    {[]share{{0.1, 0.1}}, []share{{0.1, 0.1}}, 0.8, false, "\n2 of 2 rows were not judged.\n", 12, 12},
		"as it was, a busy one":  {[]share{a}, []share{good}, 0.5, false, "had up to 50 % of the machine", 3, 3},
		"busier, a busy machine": {[]share{a}, []share{{0.1, 0.5}}, 0.5, true, "FALLEN", 3, 12},
		"busier, a crowded one":  {[]share{a}, []share{{0.1, 0.5}}, 0.8, false, "not judged", 3, 12},
	} {
		measure, asked := scripted(map[string][]share{"a": c.a, "b": c.b})
		var out strings.Builder
		err := guard(t.Context(), []string{"a", "b"}, was, make([]time.Duration, 3), measure, func() float64 { return c.others }, &out)
		if errors.Is(err, errFallen) != c.fallen || err != nil && !c.fallen {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %q is not in:\n%s", name, c.want, out.String())
		}
		if asked["a"] != c.timesA || asked["b"] != c.timesB {
			t.Errorf("%s: measured %v times, want %d and %d", name, asked, c.timesA, c.timesB)
		}
	}
}

// A measurement on a busy machine does not condemn a row of which only the time has fallen; a row
// that holds there is acquitted.
func TestGuardOnAMachineThatIsSometimesBusy(t *testing.T) {
	was, slow := base{Shares: map[string]share{"a": {0.9, 0.8}}}, share{0.3, 0.8}
	for name, c := range map[string]struct {
		busy   []bool  // the first measurement, and those after the pauses
		now    []share // the same; each is the median of three
		fallen bool
		want   string
	}{
		"never quiet again":  {[]bool{false, true, true, true}, []share{slow, slow, slow, slow}, false, "not judged"},
		"quiet once more":    {[]bool{false, true, false, true}, []share{slow, slow, slow, slow}, true, "FALLEN"},
		"quiet late":         {[]bool{true, true, true, false}, []share{slow, slow, slow, slow}, true, "FALLEN"},
		"acquitted":          {[]bool{false, true, false, true}, []share{slow, slow, {0.9, 0.8}, slow}, false, "ok, 0.3 and 0.8 at first"},
		"fast on a busy one": {[]bool{false, false, true, true}, []share{slow, slow, {0.9, 0.8}, slow}, false, "ok, 0.3 and 0.8 at first"},
	} {
		var all []share
		for _, s := range c.now {
			all = append(all, s, s, s)
		}
		measure, _ := scripted(map[string][]share{"a": all})
		calls := 0
		others := func() float64 { // before and after each measurement
			calls++
			if calls%2 == 0 && c.busy[calls/2-1] {
				return 0.5
			}
			return 0
		}
		var out strings.Builder
		err := guard(t.Context(), []string{"a"}, was, make([]time.Duration, 3), measure, others, &out)
		if errors.Is(err, errFallen) != c.fallen || err != nil && !c.fallen || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %v, and not %q in:\n%s", name, err, c.want, out.String())
		}
	}
}

// A measurement that fails is the guard's failure, and not that of a share.
func TestGuardCannotMeasure(t *testing.T) {
	broken := errors.New("broken")
	measure := func(context.Context, string, time.Duration) (share, error) { return share{}, broken }
	was := base{Shares: map[string]share{"a": {1, 1}}}
	err := guard(t.Context(), []string{"a"}, was, nil, measure, func() float64 { return 0 }, new(strings.Builder))
	if !errors.Is(err, broken) || errors.Is(err, errFallen) {
		t.Error(err)
	}
}

// The committed base has every row of the guard, and no other.
func TestBase(t *testing.T) {
	was, err := readBase(baseText, guarded)
	if err != nil {
		t.Fatal(err)
	}
	if len(was.Shares) != len(guarded) || was.Commit == "" || was.Date == "" {
		t.Errorf("%+v", was)
	}
	for _, text := range []string{"", `{"shares":{}}`, `{"shares":{"BenchmarkW2":{"time":1}}}`} {
		if _, err := readBase([]byte(text), []string{"BenchmarkW2"}); err == nil {
			t.Errorf("%q is not refused", text)
		}
	}
}

// Server and clients have the processors of the benchmarks, however many the machine has.
func TestProcessorsOfTheSockets(t *testing.T) {
	t.Setenv("GOMAXPROCS", "7")
	cmd := socketsCommand(t.Context(), "sockets", "room", 1, "file.json")
	if env := cmd.Environ(); !slices.Contains(env, "GOMAXPROCS=2") || slices.Contains(env, "GOMAXPROCS=7") {
		t.Errorf("%q", env)
	}
}

// On other systems than Linux the sockets are neither measured nor forgotten.
func TestRenewWithoutSockets(t *testing.T) {
	var out strings.Builder
	rows := chooseRows(options{guard: true, renew: true}, "darwin", &out)
	if len(rows) != len(guarded)-len(socketWorks) || slices.Contains(rows, "room") || !strings.Contains(out.String(), "room needs Linux and is left out.\n") {
		t.Errorf("%q, %s", rows, out.String())
	}
	if got := chooseRows(options{guard: true, renew: true}, "linux", io.Discard); !slices.Equal(got, guarded) {
		t.Errorf("%q", got)
	}
	t.Chdir(t.TempDir())
	if err := os.MkdirAll(filepath.Dir(baseFile), 0o700); err != nil {
		t.Fatal(err)
	}
	was := base{Commit: "abcdef0", Shares: map[string]share{"room": {0.5, 0.25}, "users": {2, 3}, "BenchmarkW2": {9, 9}, "gone": {1, 1}}}
	measure := func(context.Context, string, time.Duration) (share, error) { return share{0.75, 0.5}, nil }
	if err := renew(t.Context(), rows, was, measure, &out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(baseFile)
	if err != nil {
		t.Fatal(err)
	}
	now, err := readBase(text, guarded)
	if err != nil || len(now.Shares) != len(guarded) || now.Shares["room"] != was.Shares["room"] || now.Shares["BenchmarkW2"] != (share{0.75, 0.5}) {
		t.Errorf("%+v, %v", now, err)
	}
	if !strings.Contains(out.String(), "room stays as it was, of abcdef0.\n") {
		t.Error(out.String())
	}
}

func TestSocketShare(t *testing.T) {
	results := report.Results{Results: []report.Result{
		{Work: "room", Kind: report.Limit, Unit: "M/s", Value: 8}, {Work: "room", Kind: report.Ours, Unit: "M/s", Value: 4},
		{Work: "room", Kind: report.Limit, Unit: "server us", Value: 0.1}, {Work: "room", Kind: report.Ours, Unit: "server us", Value: 0.4},
	}}
	if s, err := socketShare(results, "room"); err != nil || s != (share{0.5, 0.25}) {
		t.Error(s, err)
	}
	if _, err := socketShare(results, "users"); err == nil {
		t.Error("there are no users")
	}
}
