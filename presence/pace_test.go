package presence

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	const ms = time.Millisecond
	var p pace
	for i, c := range []struct {
		changes int
		now     time.Duration // at the end of the round
		ask     time.Duration // when the next one could begin
		want    time.Duration // its wait
	}{
		{1, 0, 0, 0},
		{3, 1 * ms, 1 * ms, 0},
		{4, 10 * ms, 10 * ms, 5 * ms},
		{4, 20 * ms, 21 * ms, 9 * ms},
		{100, 40 * ms, 40 * ms, 20 * ms},
		{4, 100 * ms, 100 * ms, 25 * ms},
		{9, 200 * ms, 200 * ms, 25 * ms},
		{9, 300 * ms, 324 * ms, 1 * ms},
		{9, 400 * ms, 440 * ms, 0},  // the window is over
		{9, 500 * ms, 5000 * ms, 0}, // long ago
		{2, 5001 * ms, 5001 * ms, 0},
		{5, 5002 * ms, 5002 * ms, 5 * ms},
	} {
		p.round(c.changes, c.now)
		if got := p.wait(c.ask); got != c.want {
			t.Errorf("%d: %v, want %v", i, got, c.want)
		}
	}
}

// TestPaces: topics have paces of their own, parts of states end none, and a topic that has
// been silent is forgotten.
func TestPaces(t *testing.T) {
	const ms = time.Millisecond
	var p paces
	p.round(map[string]int{"lobby": 9, "quiet": 3}, 10*ms)
	if len(p) != 1 || p.wait("lobby", 10*ms) != 5*ms || p.wait("quiet", 10*ms) != 0 {
		t.Errorf("%v", p)
	}
	p.round(nil, 11*ms)
	if p.wait("lobby", 11*ms) != 4*ms {
		t.Error("a round without changes has ended the crowd")
	}
	c := change{joins: []*entry{{topic: "lobby"}}, leaves: []*entry{{topic: "quiet"}}}
	if got := p.ofChange(c, 11*ms); got != 0 {
		t.Errorf("a change of which a part is due waits %v", got)
	}
	now, later := divide([]change{c}, func(topic string) bool { return topic == "quiet" })
	if len(now) != 1 || len(now[0].joins) != 0 || len(now[0].leaves) != 1 || len(later) != 1 || len(later[0].joins) != 1 || len(later[0].leaves) != 0 {
		t.Errorf("%v, %v", now, later)
	}
	if got := countByTopic([]change{c, c, {joins: []*entry{{topic: "lobby"}, {topic: "lobby"}}}}); got["lobby"] != 3 || got["quiet"] != 2 {
		t.Errorf("%v", got)
	}
	p.round(nil, 41*ms)
	if len(p) != 0 {
		t.Errorf("%v is kept", p)
	}
	p.round(map[string]int{"lobby": 9}, 50*ms)
	p.round(map[string]int{"lobby": 1}, 60*ms)
	if len(p) != 0 {
		t.Errorf("%v is kept", p)
	}
}
