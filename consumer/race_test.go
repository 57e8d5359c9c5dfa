//go:build race

package consumer_test

// The race detector makes sync.Pool forget at random.
const raceEnabled = true
