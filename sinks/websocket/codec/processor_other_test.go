//go:build !linux

package codec_test

import "time"

// processorTime returns how long f takes, others on the machine included.
func processorTime(f func()) time.Duration {
	begin := time.Now()
	f()
	return time.Since(begin)
}
