//go:build race

package kafka

// raceOn reports that the test runs under the race detector, which takes many times the
// processor time.
const raceOn = true
