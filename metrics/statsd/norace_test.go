//go:build !race

package statsd

const raceFactor = 1
