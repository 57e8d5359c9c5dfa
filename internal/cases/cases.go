// Package cases is for the tests that compare lists of numbered cases with what
// is tested.
package cases

import (
	"fmt"
	"strconv"
	"strings"
)

// Numbers are the numbers of a list of ranges such as "1-3 5".
func Numbers(ranges string) (all []int, err error) {
	for r := range strings.FieldsSeq(ranges) {
		low, high, ok := strings.Cut(r, "-")
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
		for n := from; n <= to; n++ {
			all = append(all, n)
		}
	}
	return all, nil
}
