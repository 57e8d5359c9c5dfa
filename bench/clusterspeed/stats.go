package main

import (
	"cmp"
	"slices"
	"time"
)

// quantile returns the smallest duration that so many percent of all do not exceed. The
// list is sorted.
func quantile(sorted []time.Duration, percent float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	n := int(float64(len(sorted))*percent/100 + 0.9999)
	return sorted[min(max(n, 1), len(sorted))-1]
}

// median returns the middle one of a list by a key, the upper one of two.
func median[T any, K cmp.Ordered](all []T, key func(T) K) T {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	return all[len(all)/2]
}

// due returns how many of a rate are due after a time.
func due(rate int, after time.Duration) int {
	return int(int64(after) * int64(rate) / int64(time.Second))
}

// dueAt returns when the n-th of a rate is due, from 0 on.
func dueAt(rate, n int) time.Duration {
	return time.Duration(int64(n) * int64(time.Second) / int64(rate))
}

// share is how many of n things belong to the k-th of so many parts, as even as can be.
func share(n, k, parts int) int { return n*(k+1)/parts - n*k/parts }
