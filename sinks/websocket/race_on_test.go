//go:build race

package websocket_test

// With the race detector stacks and what is allocated are larger.
const (
	preAuthBytes = 100 << 10
	slowdown     = 10
)
