// Package cases checks that a list of numbered cases, the tests that are named
// by these numbers and the document about them agree.
package cases

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Range holds the numbers From to To of the cases with a letter.
type Range struct {
	Letter   string
	From, To int
}

// String returns the range as "G1" or "G1-3".
func (r Range) String() string {
	if r.From == r.To {
		return fmt.Sprint(r.Letter, r.From)
	}
	return fmt.Sprintf("%s%d-%d", r.Letter, r.From, r.To)
}

// Parse returns the ranges of a text such as "G1-3 5 X1". A range without a
// letter has that of the range before it. Parse refuses numbers that do not
// ascend, so that no number is listed twice.
func Parse(text string) (all []Range, err error) {
	// The letter and the last number so far: the next must be greater, or have a
	// new letter.
	letter, last := "", 0
	for field := range strings.FieldsSeq(text) {
		digits := strings.TrimLeft(field, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
		if l := strings.TrimSuffix(field, digits); l != "" && l != letter {
			if slices.ContainsFunc(all, func(r Range) bool { return r.Letter == l }) {
				return nil, fmt.Errorf("cases: letter %s twice", l)
			}
			letter, last = l, 0
		}
		low, high, ok := strings.Cut(digits, "-")
		if !ok {
			high = low
		}
		from, err := strconv.Atoi(low)
		if err != nil {
			return nil, fmt.Errorf("cases: %w", err)
		}
		to, err := strconv.Atoi(high)
		if err != nil {
			return nil, fmt.Errorf("cases: %w", err)
		}
		if letter == "" || from <= last || to < from {
			return nil, fmt.Errorf("cases: %q does not follow %s%d", field, letter, last)
		}
		all = append(all, Range{letter, from, to})
		last = to
	}
	return all, nil
}

// Numbers returns the cases of a text such as "G1-3 5", one by one.
func Numbers(text string) (all []string, err error) {
	ranges, err := Parse(text)
	if err != nil {
		return nil, err
	}
	for _, r := range ranges {
		for n := r.From; n <= r.To; n++ {
			all = append(all, fmt.Sprint(r.Letter, n))
		}
	}
	return all, nil
}
