package backplane

import (
	"errors"
	"slices"
	"testing"
	"time"
)

var zero = time.Unix(1_000_000, 0)

func beat(node, instance string, started int, beat, link uint64) Frame {
	return Frame{Kind: KindBeat, Node: node, Instance: instance, Server: "s" + node, Started: zero.Add(time.Duration(started) * time.Second), Beat: beat, Link: link}
}

// TestMembersFindLosses is a table of what one node hears.
func TestMembersFindLosses(t *testing.T) {
	m := NewMembers(beat("me", "i", 10, 0, 0), 5*time.Second)
	at := func(seconds int) time.Time { return zero.Add(time.Duration(seconds) * time.Second) }
	for _, c := range []struct {
		name string
		f    Frame
		at   int
		do   func()
		want Verdict
	}{
		{"a new one", beat("b", "1", 0, 1, 0), 0, nil, Verdict{New: true}},
		{"its next beat", beat("b", "1", 0, 2, 0), 1, nil, Verdict{}},
		{"a reply between beats", beat("b", "1", 0, 2, 0), 1, nil, Verdict{}},
		{"a beat is missing", beat("b", "1", 0, 4, 0), 2, nil, Verdict{Lost: true}},
		{"it was cut off", beat("b", "1", 0, 5, 1), 3, nil, Verdict{Lost: true}},
		{"this node was cut off", beat("b", "1", 0, 9, 2), 4, func() { m.CutOff(at(4)) }, Verdict{}},
		{"once only", beat("b", "1", 0, 11, 2), 4, nil, Verdict{Lost: true}},
		{"it did not reply", beat("b", "1", 0, 12, 2), 5, func() { m.Quiet("1") }, Verdict{Lost: true}},
		{"one that was there before", beat("c", "1", 0, 70, 0), 5, nil, Verdict{New: true, Lost: true}},
		{"one that replies to a join", beat("d", "1", 0, 70, 0), 7, func() { m.Join(at(5)) }, Verdict{New: true, Lost: true, Joining: true}},
		{"one that does so late", beat("e", "1", 0, 70, 0), 11, nil, Verdict{New: true, Lost: true}},
		{"its successor", beat("c", "2", 20, 1, 0), 11, nil, Verdict{New: true}},
		{"a late word of it", beat("c", "1", 0, 71, 0), 11, nil, Verdict{}},
		{"the successor goes on", beat("c", "2", 20, 2, 0), 12, nil, Verdict{}},
		{"this node itself", beat("me", "i", 10, 1, 0), 7, nil, Verdict{}},
		{"an older one of this name", beat("me", "j", 9, 1, 0), 7, nil, Verdict{Rival: true}},
		{"a younger one of this name", beat("me", "k", 11, 1, 0), 7, nil, Verdict{Rival: true, Fenced: true}},
		{"back after silence", beat("b", "1", 0, 13, 2), 20, func() { m.Tick(at(20)) }, Verdict{New: true, Lost: true}},
	} {
		if c.do != nil {
			c.do()
		}
		if got := m.Beat(c.f, at(c.at)); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	if got := m.Names(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("members %v", got)
	}
	if !m.Bye(beat("b", "1", 0, 0, 0)) || m.Bye(beat("b", "1", 0, 0, 0)) || len(m.Names()) != 0 {
		t.Error("it has left once")
	}
}

// TestOfTwoNodesOfANameOneStays, whatever their clocks say.
func TestOfTwoNodesOfANameOneStays(t *testing.T) {
	for _, other := range []Frame{beat("n", "b", 9, 1, 0), beat("n", "b", 10, 1, 0), beat("n", "b", 11, 1, 0)} {
		self := beat("n", "a", 10, 1, 0)
		mine, theirs := NewMembers(self, time.Second).Beat(other, zero), NewMembers(other, time.Second).Beat(self, zero)
		if mine.Fenced == theirs.Fenced || NewMembers(self, time.Second).Taken(other) != mine.Fenced {
			t.Errorf("%+v %+v", mine, theirs)
		}
	}
}

func TestMembersAtOtherServers(t *testing.T) {
	m := NewMembers(beat("me", "i", 0, 0, 0), time.Second)
	m.Beat(beat("b", "1", 0, 1, 0), zero)
	m.Beat(beat("c", "2", 0, 1, 0), zero)
	if got := m.Elsewhere("sb"); !slices.Equal(got, []string{"2"}) {
		t.Errorf("%v", got)
	}
	m.Quiet("2")
	if got := m.Elsewhere("sb"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestFrames(t *testing.T) {
	f := beat("ünode", "instance", 3, 1<<40, 7)
	f.Number = 12
	data := f.Append(nil)
	got, err := ReadFrame(append(data, "of a later release"...))
	if err != nil || !got.Started.Equal(f.Started) {
		t.Fatalf("%+v, %v", got, err)
	}
	if got.Started = f.Started; got != f {
		t.Errorf("%+v became %+v", f, got)
	}
	for n := range data {
		if _, err := ReadFrame(data[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	data[0]++
	if _, err := ReadFrame(data); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(beat("n", "i", 1, 2, 3).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := ReadFrame(data)
		if err != nil {
			return
		}
		again, err := ReadFrame(frame.Append(nil))
		if err != nil || again.Node != frame.Node || again.Beat != frame.Beat || !again.Started.Equal(frame.Started) {
			t.Fatalf("%+v became %+v (%v)", frame, again, err)
		}
	})
}

// TestMembersAreMissing while nothing is heard of them, until they are given up.
func TestMembersAreMissing(t *testing.T) {
	down := 10 * time.Second
	m := NewMembers(beat("me", "i", 10, 0, 0), down)
	at := func(seconds int) time.Time { return zero.Add(time.Duration(seconds) * time.Second) }
	silence := Silence(500*time.Millisecond, down)
	for _, c := range []struct {
		name string
		at   int
		do   func()
		want bool
	}{
		{"there is no other node", 0, nil, false},
		{"one is there", 0, func() { m.Beat(beat("b", "1", 0, 1, 0), at(0)) }, false},
		{"one beat is late", 1, nil, false},
		{"it is silent", 4, nil, true},
		{"it is back", 4, func() { m.Beat(beat("b", "1", 0, 2, 0), at(4)) }, false},
		{"this node was cut off", 5, func() { m.CutOff(at(5)) }, true},
		{"it is heard of again", 6, func() { m.Beat(beat("b", "1", 0, 4, 0), at(6)) }, false},
		{"it is silent for good", 16, nil, true},
		{"it is given up", 16, func() { m.Tick(at(16)) }, false},
		{"it leaves after a cut", 17, func() {
			m.Beat(beat("b", "1", 0, 5, 0), at(17))
			m.CutOff(at(17))
			m.Bye(beat("b", "1", 0, 5, 0))
		}, false},
	} {
		if c.do != nil {
			c.do()
		}
		if got := m.Missing(at(c.at), silence); got != c.want {
			t.Errorf("%s: missing is %t", c.name, got)
		}
	}
}
