//go:build race

package statsd

const raceFactor = 20 // by which long tests are shorter with the race detector
