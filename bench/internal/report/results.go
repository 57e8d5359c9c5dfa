package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Kind is what a contestant is in a comparison.
type Kind string

const (
	Ours  Kind = "ours"
	Peer  Kind = "peer"  // a library of others
	Limit Kind = "limit" // bare means, which do less
)

// Result is what a contestant has reached in a work.
type Result struct {
	Work  string  `json:"work"`
	Name  string  `json:"name"`
	Kind  Kind    `json:"kind"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
}

// Results are those of one run.
type Results struct {
	Machine Machine  `json:"machine"`
	Results []Result `json:"results"`
}

// Write writes the results to a file.
func (r Results) Write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// ReadResults reads a file that Write has written. found is false if there is none.
func ReadResults(file string) (r Results, found bool, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return Results{}, false, fmt.Errorf("results in %s: %w", file, err)
	}
	return r, true, nil
}

// Of reports whether the results are those of a machine, a commit and a day. Those of files that
// differ from their commit, or of a commit that is not known, are not: the files may have changed
// since.
func (r Results) Of(m Machine) bool { return r.Machine == m && m.committed() }

// Has reports whether there is a result of each of the works.
func (r Results) Has(works ...string) bool {
	for _, work := range works {
		if !slices.ContainsFunc(r.Results, func(one Result) bool { return one.Work == work }) {
			return false
		}
	}
	return true
}

// Best returns, of the contestants of a kind, the one with the highest value of a unit in a
// work, or the lowest value. found is false if there is none.
func (r Results) Best(kind Kind, work, unit string, lowest bool) (best Result, found bool) {
	for _, one := range r.Results {
		if one.Kind != kind || one.Work != work || one.Unit != unit || one.Value <= 0 {
			continue
		}
		if !found || lowest == (one.Value < best.Value) {
			best, found = one, true
		}
	}
	return best, found
}
