package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// scripted returns the given shares in turn, and the last one for ever.
func scripted(shares map[string][]float64) (measurement, map[string]int) {
	asked := make(map[string]int)
	return func(_ context.Context, row string, _ time.Duration) (float64, error) {
		all := shares[row]
		v := all[min(asked[row], len(all)-1)]
		asked[row]++
		return v, nil
	}, asked
}

func TestGuard(t *testing.T) {
	was := base{Shares: map[string]float64{"a": 0.9, "b": 1.2}}
	for name, c := range map[string]struct {
		shares map[string][]float64
		fallen bool
		want   string
		asked  map[string]int
	}{
		"as it was":            {map[string][]float64{"a": {0.9}, "b": {1.2}}, false, "", map[string]int{"a": 3, "b": 3}},
		"a third is allowed":   {map[string][]float64{"a": {0.61}, "b": {0.81}}, false, "", map[string]int{"a": 3, "b": 3}},
		"one bad run of three": {map[string][]float64{"a": {0.1, 0.9, 0.9}, "b": {1.2}}, false, "", map[string]int{"a": 3, "b": 3}},
		"bad at first": {
			map[string][]float64{"a": {0.3, 0.3, 0.3, 0.9}, "b": {1.2}}, false, "ok, but 0.3 at first", map[string]int{"a": 8, "b": 3},
		},
		"fallen": {map[string][]float64{"a": {0.9}, "b": {0.79}}, true, "FALLEN, and 0.79 at first", map[string]int{"a": 3, "b": 8}},
	} {
		measure, asked := scripted(c.shares)
		var out strings.Builder
		err := guard(t.Context(), []string{"a", "b"}, was, measure, &out)
		if errors.Is(err, errFallen) != c.fallen || err != nil && !c.fallen {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %q is not in:\n%s", name, c.want, out.String())
		}
		for row, n := range c.asked {
			if asked[row] != n {
				t.Errorf("%s: %s was measured %d times, want %d", name, row, asked[row], n)
			}
		}
	}
}

// A measurement that fails is the guard's failure, and not that of a share.
func TestGuardCannotMeasure(t *testing.T) {
	broken := errors.New("broken")
	measure := func(context.Context, string, time.Duration) (float64, error) { return 0, broken }
	err := guard(t.Context(), []string{"a"}, base{Shares: map[string]float64{"a": 1}}, measure, new(strings.Builder))
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
	for _, text := range []string{"", `{"shares":{}}`, `{"shares":{"BenchmarkW2":0}}`} {
		if _, err := readBase([]byte(text), []string{"BenchmarkW2"}); err == nil {
			t.Errorf("%q is not refused", text)
		}
	}
}
