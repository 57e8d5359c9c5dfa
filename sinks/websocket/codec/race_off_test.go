//go:build !race

package codec_test

// slowdown is by how much the race detector may lengthen what is timed.
const slowdown = 1
