package main

import "testing"

// TestAPlaceIsCrowded at three quarters of what may be unfinished of its partition, in
// pushes or in bytes.
func TestAPlaceIsCrowded(t *testing.T) {
	p := newPlaces(100, 1000)
	first := p.pass(0, 7, 10)
	other := p.pass(1, 7, 10)
	p.pass(0, 82, 10)
	if p.crowded(first) {
		t.Error("75 pushes after it")
	}
	second := p.pass(0, 83, 10)
	if !p.crowded(first) || p.crowded(second) || p.crowded(other) {
		t.Error("76 pushes after it, and none after the others")
	}
	p.pass(0, 84, 751)
	if !p.crowded(second) {
		t.Error("751 bytes after it")
	}
	// A rebalance: what is read again is not behind.
	if again := p.pass(0, 7, 10); p.crowded(again) {
		t.Error("it was read last")
	}
}
