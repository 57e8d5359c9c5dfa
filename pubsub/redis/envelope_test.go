package redis

import (
	"testing"
	"time"
)

// TestMessagesThatComeLateAreFound, by sender, as long as that is remembered.
func TestMessagesThatComeLateAreFound(t *testing.T) {
	one, two := &session{sender: 1<<63 + 1}, &session{sender: 2}
	from := func(s *session) message {
		data := append([]byte(nil), blank[:]...)
		s.seal(data)
		return message{data: string(data)}
	}
	first, second, other := from(one), from(one), from(two)
	if first.sender() != one.sender || second.number() != 2 {
		t.Fatalf("sender %d, number %d", first.sender(), second.number())
	}
	begin := time.Unix(1_000_000, 0)
	l := lateness{last: make(map[uint64]lastOf), swept: begin}
	for i, c := range []struct {
		m    message
		at   time.Duration
		late bool
	}{{second, 0, false}, {first, 0, true}, {second, 0, true}, {other, 0, false}, {from(one), time.Minute, false}, {other, forgetAfter + time.Second, false}} {
		if got := l.late(c.m, begin.Add(c.at)); got != c.late {
			t.Errorf("message %d: late %v, want %v", i, got, c.late)
		}
	}
	if len(l.last) != 2 {
		t.Errorf("%d senders are remembered", len(l.last))
	}
}

// TestANodeDoesNotCountItself: its own copy comes before or after the reply of the server.
func TestANodeDoesNotCountItself(t *testing.T) {
	c := counts{open: make(map[uint64]bool)}
	for number := range uint64(3) {
		c.expect(number)
	}
	c.echo(1)
	c.echo(7) // of a message that is not counted
	for _, e := range []struct {
		count
		want int
	}{{count{number: 0, nodes: 2}, 2}, {count{number: 1, nodes: 2}, 1}, {count{number: 2, nodes: 0}, 0}} {
		if got := c.close(e.count); got != e.want {
			t.Errorf("message %d: %d nodes, want %d", e.number, got, e.want)
		}
	}
	if len(c.open) > 0 {
		t.Errorf("left open: %v", c.open)
	}
}
