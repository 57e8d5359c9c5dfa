package presence

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// short periods: a tick a second.
var testConfig = Config{
	BroadcastPeriod: time.Second, HeartbeatPeriod: 3 * time.Second, DownPeriod: 6 * time.Second, PermDownPeriod: 20 * time.Second,
}

func at(seconds int) time.Time { return time.Unix(1000+int64(seconds), 0) }

// letters of a step in short form: "to:event".
func short(eff effects) string {
	var parts []string
	for _, side := range []struct {
		sign string
		list []*entry
	}{{"+", eff.change.joins}, {"-", eff.change.leaves}} {
		var refs []string
		for _, e := range side.list {
			refs = append(refs, side.sign+e.ref)
		}
		slices.Sort(refs)
		parts = append(parts, refs...)
	}
	for _, l := range eff.letters {
		parts = append(parts, l.to+":"+l.event)
	}
	for _, n := range eff.notes {
		parts = append(parts, n.node+" "+n.text)
	}
	return strings.Join(parts, ", ")
}

func joins(refs ...string) (list []gossipEntry) {
	for _, ref := range refs {
		list = append(list, gossipEntry{Ref: ref, Topic: "t", Key: "k", Meta: json.RawMessage(`{}`)})
	}
	return list
}

// TestStep feeds one machine the messages of node b, whose process is 5.
func TestStep(t *testing.T) {
	type said struct {
		second int
		event  string // "tick" is none of b's
		g      gossip
		want   string
	}
	state := said{0, gossipState, gossip{Process: process{5, 1}, Version: 3, Joins: joins("x", "y")}, "+x, +y, b is up"}
	for name, steps := range map[string][]said{
		"a request is answered": {{0, gossipRequest, gossip{Process: process{5, 1}}, "b:state"}},
		"an unknown node is asked": {
			{0, gossipHeartbeat, gossip{Process: process{5, 1}, Version: 3}, "b:request, b is up"},
			{0, gossipHeartbeat, gossip{Process: process{5, 1}, Version: 3}, ""}, // not twice at once
			{1, gossipHeartbeat, gossip{Process: process{5, 1}, Version: 3}, "b:request"},
			{1, gossipState, gossip{Process: process{5, 1}, Version: 3, Joins: joins("x")}, "+x"},
			{2, gossipHeartbeat, gossip{Process: process{5, 1}, Version: 3}, ""},
		},
		"a node without presences needs no asking": {{0, gossipHeartbeat, gossip{Process: process{5, 1}}, "b is up"}},
		"a delta that is next": {state,
			{1, gossipDelta, gossip{Process: process{5, 1}, Since: 3, Version: 5, Joins: joins("z"), Leaves: []string{"x"}}, "+z, -x"}},
		"a delta twice": {state,
			{1, gossipDelta, gossip{Process: process{5, 1}, Since: 3, Version: 4, Joins: joins("z")}, "+z"},
			{1, gossipDelta, gossip{Process: process{5, 1}, Since: 3, Version: 4, Joins: joins("z")}, ""}},
		"a delta that overlaps a state": {state,
			{1, gossipDelta, gossip{Process: process{5, 1}, Since: 1, Version: 4, Joins: joins("x", "z", "w"), Leaves: []string{"w", "gone"}}, "+z"}},
		"a gap is asked about": {state,
			{1, gossipDelta, gossip{Process: process{5, 1}, Since: 4, Version: 5, Joins: joins("z")}, "b:request"},
			{1, gossipState, gossip{Process: process{5, 1}, Version: 5, Joins: joins("y", "z")}, "+z, -x"}},
		"a late state": {state,
			{1, gossipState, gossip{Process: process{5, 1}, Version: 2, Joins: joins("old")}, ""}},
		"goodbye": {state,
			{1, gossipBye, gossip{Process: process{5, 1}, Version: 3}, "-x, -y, b has left"},
			{1, gossipState, gossip{Process: process{5, 1}, Version: 3, Joins: joins("x")}, ""}, // late
			{1, gossipBye, gossip{Process: process{5, 1}, Version: 3}, ""},
			{2, gossipState, gossip{Process: process{6, 1}, Version: 1, Joins: joins("z")}, "+z, b is up"}},
		"another process": {state,
			{1, gossipHeartbeat, gossip{Process: process{6, 1}}, "-x, -y, b is up"},
			{1, gossipDelta, gossip{Process: process{5, 1}, Since: 3, Version: 4, Joins: joins("z")}, "b:outdated"}}, // of the old one
		"silence": {state,
			{5, "tick", gossip{}, ""},
			{6, "tick", gossip{}, "-x, -y, b is down"},
			{7, "tick", gossip{}, ""},
			{8, gossipHeartbeat, gossip{Process: process{5, 1}, Version: 3}, "+x, +y, b is up again"}},
		"silence, then a delta": {state,
			{6, "tick", gossip{}, "-x, -y, b is down"},
			{8, gossipDelta, gossip{Process: process{5, 1}, Since: 3, Version: 4, Joins: joins("z"), Leaves: []string{"x"}}, "+y, +z, b is up again"}},
		"silence, then goodbye": {state,
			{6, "tick", gossip{}, "-x, -y, b is down"},
			{8, gossipBye, gossip{Process: process{5, 1}, Version: 3}, "b has left"}},
		"forgotten": {state,
			{6, "tick", gossip{}, "-x, -y, b is down"},
			{20, "tick", gossip{}, ""},
			{21, gossipHeartbeat, gossip{Process: process{5, 1}, Version: 3}, "b:request, b is up"}},
		"a clock that was set back": {state,
			{1, gossipHeartbeat, gossip{Process: process{4, 1}, Version: 1}, "b:outdated"},
			{1, gossipHeartbeat, gossip{Process: process{4, 1}, Version: 1}, ""}, // not twice at once
			{2, gossipHeartbeat, gossip{Process: process{6, 1}, Version: 1}, "-x, -y, b:request, b is up"}},
		"one generation, another process": {state,
			{1, gossipHeartbeat, gossip{Process: process{5, 0}, Version: 1}, "b:outdated"},
			{1, gossipHeartbeat, gossip{Process: process{5, 2}}, "-x, -y, b is up"}},
		"a late message after the goodbye of a later process": {state,
			{1, gossipBye, gossip{Process: process{5, 1}, Version: 3}, "-x, -y, b has left"},
			{1, gossipState, gossip{Process: process{4, 1}, Version: 1, Joins: joins("z")}, "b:outdated"}},
		"a node that does not know this process": {
			{0, gossipOutdated, gossip{}, ""},
			{0, gossipOutdated, gossip{Known: &process{0, 9}}, ""},             // an earlier one
			{0, gossipOutdated, gossip{Known: &process{1, 1}}, ""},             // this one
			{0, gossipOutdated, gossip{Known: &process{math.MaxInt64, 1}}, ""}, // there is no next one
			{0, gossipOutdated, gossip{Known: &process{7, 3}}, ":heartbeat, a is another process now: an earlier one had a later clock, or two have this name"},
			{0, gossipOutdated, gossip{Known: &process{7, 3}}, ""}},
		"a state in parts": {state,
			{1, gossipState, gossip{Process: process{5, 1}, Version: 5, Joins: joins("v"), Part: 1, Parts: 2}, ""},
			{1, gossipState, gossip{Process: process{5, 1}, Version: 5, Joins: joins("v"), Part: 1, Parts: 2}, ""}, // twice
			{1, gossipState, gossip{Process: process{5, 1}, Version: 5, Joins: joins("y"), Part: 0, Parts: 2}, "+v, -x"},
			{1, gossipState, gossip{Process: process{5, 1}, Version: 5, Joins: joins("y"), Part: 0, Parts: 2}, ""}},
		"a delta in parts": {state,
			{1, gossipDelta, gossip{Process: process{5, 1}, Since: 3, Version: 9, Joins: joins("z"), Part: 0, Parts: 2}, ""},
			{1, gossipDelta, gossip{Process: process{5, 1}, Since: 3, Version: 9, Leaves: []string{"x"}, Part: 1, Parts: 2}, "+z, -x"}},
		"a part that is lost": {state,
			{1, gossipState, gossip{Process: process{5, 1}, Version: 5, Joins: joins("y"), Part: 0, Parts: 2}, ""},
			{3, gossipHeartbeat, gossip{Process: process{5, 1}, Version: 6}, "b:request"},
			{3, gossipState, gossip{Process: process{5, 1}, Version: 6, Part: 1, Parts: 2, Number: 2}, ""}, // another division
			{3, gossipState, gossip{Process: process{5, 1}, Version: 6, Joins: joins("y"), Part: 0, Parts: 2, Number: 2}, "-x"}},
		"what a later release may send": {state, {1, "unknown", gossip{Process: process{5, 1}, Version: 9}, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(testConfig, "a", process{1, 1}, false)
			for i, s := range steps {
				m.said = at(s.second) // no heartbeat of its own
				var eff effects
				if s.event == "tick" {
					eff = m.tick(at(s.second))
				} else {
					eff = m.step(at(s.second), "b", s.event, &s.g)
				}
				if got := short(eff); got != s.want {
					t.Errorf("step %d, %s: %q, want %q", i, s.event, got, s.want)
				}
			}
		})
	}
}

func TestTickAnnouncesChanges(t *testing.T) {
	m := newMachine(testConfig, "a", process{1, 1}, false)
	if got := short(m.begin(at(0))); got != ":request, :heartbeat" {
		t.Error(got)
	}
	e := &entry{ref: "x", topic: "t", key: "k", meta: json.RawMessage(`{}`)}
	m.change(change{joins: []*entry{e}})
	if g := m.write(letter{"", gossipHeartbeat})[0]; g.Version != 0 {
		t.Errorf("a heartbeat announces a change that no delta has brought: %+v", g)
	}
	if got := short(m.tick(at(1))); got != ":delta" {
		t.Error(got)
	}
	g := m.write(letter{"", gossipDelta})[0]
	if g.Since != 0 || g.Version != 1 || len(g.Joins) != 1 || g.Process != (process{1, 1}) {
		t.Errorf("%+v", g)
	}
	for second, want := range map[int]string{2: "", 3: "", 4: ":heartbeat"} {
		m.said = at(1)
		if got := short(m.tick(at(second))); got != want {
			t.Errorf("second %d: %q, want %q", second, got, want)
		}
	}
	alone := newMachine(testConfig, "local", process{1, 1}, true)
	alone.change(change{joins: []*entry{e}})
	if len(alone.joins) != 0 {
		t.Error("a node without others gathers changes for them")
	}
}

// player is a node of the model: a machine with its view and its letters.
type player struct {
	*machine
	view view
	mine []*entry
}

type flying struct {
	from, to, event string
	data            []byte
}

// TestThreeNodesConverge runs three machines over a network that loses, repeats
// and reorders, with processes that end and come back. The views agree with the
// machines at every step, and with each other once messages pass.
func TestThreeNodesConverge(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for round := range 40 {
		(&model{T: t, r: rand.New(rand.NewPCG(seed, uint64(round))), round: round}).run()
	}
}

type model struct {
	*testing.T
	r       *rand.Rand
	round   int
	now     time.Time
	players map[string]*player
	air     []flying
	refs    int
	process uint64
}

var names = []string{"a", "b", "c"}

func (m *model) run() {
	m.now, m.players = at(0), map[string]*player{}
	for _, name := range names {
		m.restart(name)
	}
	for range 600 {
		m.random()
		m.check()
	}
	// From here on messages pass, and nothing ends.
	for range 30 {
		m.now = m.now.Add(time.Second)
		for _, name := range names {
			p := m.players[name]
			m.act(name, p.tick(m.now))
		}
		for len(m.air) > 0 {
			m.deliver(m.r.IntN(len(m.air)), true)
		}
	}
	m.check()
	want := map[string]bool{}
	for _, p := range m.players {
		for _, e := range p.mine {
			want[e.ref] = true
		}
	}
	for _, name := range names {
		if got := m.visible(name); !maps.Equal(got, want) {
			m.Fatalf("round %d: %s sees %v, want %v", m.round, name, got, want)
		}
	}
}

// random makes one thing happen.
func (m *model) random() {
	name := names[m.r.IntN(len(names))]
	p := m.players[name]
	switch k := m.r.IntN(20); {
	case k < 4:
		m.refs++
		e := &entry{ref: fmt.Sprint(name, m.refs), topic: "t", key: fmt.Sprint(m.r.IntN(3)), meta: json.RawMessage(`{}`)}
		p.mine = append(p.mine, e)
		m.act(name, p.change(change{joins: []*entry{e}}))
	case k < 7 && len(p.mine) > 0:
		i := m.r.IntN(len(p.mine))
		e := p.mine[i]
		p.mine = slices.Delete(p.mine, i, i+1)
		m.act(name, p.change(change{leaves: []*entry{e}}))
	case k < 10:
		m.now = m.now.Add(time.Duration(m.r.IntN(1000)) * time.Millisecond)
		m.act(name, p.tick(m.now))
	case k == 10 && m.r.IntN(5) == 0:
		if m.r.IntN(2) == 0 {
			m.send(name, letter{"", gossipBye})
		}
		m.restart(name)
	case k == 11 && m.r.IntN(5) == 0:
		m.now = m.now.Add(time.Duration(m.r.IntN(25)) * time.Second) // nodes go down
	default:
		if len(m.air) > 0 {
			m.deliver(m.r.IntN(len(m.air)), false)
		}
	}
}

func (m *model) restart(name string) {
	// Clocks go anywhere.
	m.process++
	p := &player{machine: newMachine(testConfig, name, process{m.r.Int64N(10), m.process}, false), view: view{topics: map[string]map[string][]*entry{}}}
	p.partBytes = 150 // three presences
	m.players[name] = p
	m.act(name, p.begin(m.now))
}

// act carries out effects, as a tracker does. A letter that cannot be sent waits
// there; here it is lost, a delta leaving a heartbeat.
func (m *model) act(name string, eff effects) {
	p := m.players[name]
	p.view.show(eff.change)
	for _, l := range eff.letters {
		m.send(name, l)
	}
}

func (m *model) send(name string, l letter) {
	for _, g := range m.players[name].write(l) {
		data, err := json.Marshal(g)
		if err != nil {
			m.Fatal(err)
		}
		for _, to := range names {
			if to != name && (l.to == "" || l.to == to) {
				m.air = append(m.air, flying{name, to, l.event, data})
			}
		}
	}
}

func (m *model) deliver(i int, reliable bool) {
	f := m.air[i]
	if reliable || m.r.IntN(8) > 0 { // else it comes again
		m.air = slices.Delete(m.air, i, i+1)
	}
	if !reliable && m.r.IntN(4) == 0 {
		return // lost
	}
	var g gossip
	if err := json.Unmarshal(f.data, &g); err != nil {
		m.Fatal(err)
	}
	m.act(f.to, m.players[f.to].step(m.now, f.from, f.event, &g))
}

func (m *model) visible(name string) map[string]bool {
	got := map[string]bool{}
	for _, list := range m.players[name].view.topics["t"] {
		for _, e := range list {
			if got[e.ref] {
				m.Fatalf("round %d: %s sees %s twice", m.round, name, e.ref)
			}
			got[e.ref] = true
		}
	}
	return got
}

// check compares what each node shows with what it believes.
func (m *model) check() {
	for _, name := range names {
		p := m.players[name]
		want := map[string]bool{}
		for _, e := range p.mine {
			want[e.ref] = true
		}
		for _, r := range p.others {
			if r.phase != up {
				continue
			}
			for ref := range r.entries {
				want[ref] = true
			}
		}
		if got := m.visible(name); !maps.Equal(got, want) {
			m.Fatalf("round %d: %s shows %v, believes %v", m.round, name, got, want)
		}
	}
}
