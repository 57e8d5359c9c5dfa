//go:build race

package producer_test

// The race detector makes sync.Pool forget at random.
const raceEnabled = true
