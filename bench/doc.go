// Package bench holds the benchmarks by which the project measures itself. Run
// them with
//
//	go test -run '^$' -bench . ./bench
//
// Each reports events/s and, where there is something to compare with, of-ref:
// the share of a reference that did the same work in the same run. The
// reference is two goroutines and a pair of bare channels between which the
// same slices go round; it does nothing but hand over. Machines are shared and
// noisy: ratios mean more than rates.
package bench
