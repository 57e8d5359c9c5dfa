//go:build !race

package websocket_test

const (
	preAuthBytes = 24 << 10 // most of it net/http's two buffers and its stack
	slowdown     = 1
)
