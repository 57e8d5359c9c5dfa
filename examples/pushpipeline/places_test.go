package main

import (
	"testing"

	"github.com/penstock-go/penstock/producer/kafka"
)

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

// TestUnread counts what the producer has not taken in, although it was decoded: a program
// that ends in between loses it.
func TestUnread(t *testing.T) {
	p := newPlaces(100, 1000)
	p.wrote(0, 199)
	p.read(0, 99)
	for _, c := range []struct {
		what     string
		assigned []kafka.PartitionSnapshot
		want     int64
	}{
		{"decoded, and not taken in", []kafka.PartitionSnapshot{{}}, 200},
		{"taken in to 150, three of them finished", []kafka.PartitionSnapshot{{Head: 3, Committed: 3, Window: 147}}, 50},
		{"all taken in", []kafka.PartitionSnapshot{{Head: 3, Committed: 3, Window: 197}}, 0},
		{"ten more of another process", []kafka.PartitionSnapshot{{Head: 3, Committed: 3, Window: 197, Lag: 207}}, 10},
		{"no partition: what was read and not finished comes again", nil, 197},
		{"taken in to 150, all finished and none committed", []kafka.PartitionSnapshot{{Head: 150, Window: 150}}, 50},
	} {
		if n := p.unread(c.assigned); n != c.want {
			t.Errorf("%s: %d, want %d", c.what, n, c.want)
		}
	}
}
