//go:build race

package fairsim

// The race detector finds nothing in code without goroutines and makes it ten
// times slower.
const raced = true
