package delivery

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/receipt"
)

// TestTheBook steps the book by hand. A step is one word: aX an event of topic X
// arrives; wX, nX, rX the oldest event of X that is with sockets is written, found
// no client, found no room; NX the newest one found no client, mX no answer; cX the topic changes, CX it gets a client; d the due lines are sent again,
// dn and dr with no client and no room for the first event; +N N seconds pass;
// drain; out and back: from then on, and no longer, other nodes cannot be asked. After the colon is what came of it.
func TestTheBook(t *testing.T) {
	for name, script := range map[string]string{
		"at once":                       "a1:send a2:send w1: w2: d:",
		"behind one that waits":         "a1:send n1:wait a1:wait a2:send d:send0,send1",
		"a failure after the retry":     "a1:send n1:wait d:send0 n1:wait d: c1: d:send0 w1:",
		"the grace":                     "a1:send n1:wait dn:send0,wait +4: a1:wait +1:no_subscriber0,no_subscriber1 a1:no_subscriber",
		"the grace of a second absence": "a1:send n1:wait d:send0 w1: +4: a1:send n1:wait dn:send1,wait +4: +1:no_subscriber1",
		"forgotten":                     "a1:send n1:wait dn:send0,wait +5:no_subscriber0 +4: a1:no_subscriber +4: a1:no_subscriber +5: a1:send",
		"back after the grace":          "a1:send n1:wait dn:send0,wait +5:no_subscriber0 C1: a1:wait d:send1 a1:send",
		"room has no grace":             "a1:send r1:wait dr:send0,wait +9: a1:wait c1: d:send0,send1",
		"from room to client":           "a1:send r1:wait dr:send0,wait a1:wait +9: c1: dn:send0,wait +5:no_subscriber0,no_subscriber1",
		"from client to room":           "a1:send n1:wait dn:send0,wait +4: c1: dr:send0,wait +9: c1: d:send0",
		"the grace goes on meanwhile":   "a1:send n1:wait d:send0 +3: a1:send n1:wait n1:wait +2:no_subscriber0,no_subscriber1 a1:no_subscriber",
		"the grace ends meanwhile":      "a1:send n1:wait d:send0 +5: a1:send n1:no_subscriber a1:no_subscriber n1:no_subscriber",
		"perhaps back elsewhere":        "a1:send n1:wait dn:send0,wait +5:no_subscriber0 c1: d: a1:send a1:no_subscriber n1:no_subscriber a1:no_subscriber",
		"back elsewhere":                "a1:send n1:wait dn:send0,wait +5:no_subscriber0 c1: d: a1:send w1: a1:send n1:wait",
		"written after the grace":       "a1:send n1:wait d:send0 +5: w1: a1:send n1:wait +4: +1:no_subscriber1",
		"a grace after one was written": "a1:send a1:send n1:wait n1:wait d:send0,send1 +3: w1: n1:wait +4: +1:no_subscriber1",
		"no room after the grace":       "a1:send n1:wait d:send0 +5: r1:wait +9: c1: d:send0 w1: a1:send",
		"one grace with no answer":      "a1:send m1:wait dn:send0,wait +4: c1: dm:send0,wait +1:no_answer0",
		"an outage stops the grace":     "a1:send n1:wait dn:send0,wait +2: out: +50: a1:wait back: dn:send0,wait +2: +1:no_subscriber0,no_subscriber1",
		"a grace that begins in it":     "out a1:send m1:wait dm:send0,wait +50: back: dm:send0,wait +4: +1:no_answer0",
		"a client comes in it":          "out a1:send m1:wait dm:send0,wait +50: c1: d:send0 w1: a1:send",
		"back, and it is delivered":     "out a1:send m1:wait a1:wait dm:send0,wait +50: back: d:send0,send1 w1: w1: a1:send",
		"gone before an outage":         "a1:send n1:wait dn:send0,wait +5:no_subscriber0 out a1:send m1:wait dm:send1,wait +50: back: d:send1",
		"a probe is out in an outage":   "a1:send n1:wait dn:send0,wait +5:no_subscriber0 c1: d: a1:send out m1:wait +50: back: d:send1",
		"late in an outage":             "a1:send n1:wait d:send0 +5: out m1:wait +50: back: dn:send0,wait +4: +1:no_subscriber0",
		"the second of two outages":     "a1:send n1:wait dn:send0,wait +2: out +9: back: dn:send0,wait +2: out +9: back: dn:send0,wait +1:no_subscriber0",
		"no room in an outage":          "a1:send r1:wait dr:send0,wait out +9: back: dr:send0,wait +9: c1: d:send0",
		"the order of arrival":          "a1:send a1:send a1:send n1:wait n1:wait d:send0,send1 a1:send",
		"the first failure comes last":  "a1:send a2:send a1:send w2: N1:wait n1:wait a1:wait d:send0,send2,send3",
		"a drain":                       "a1:send a2:send n1:wait a3:send drain:no_subscriber0 n2:no_subscriber r3:client_full a4:send",
	} {
		t.Run(name, func(t *testing.T) { playBook(t, &book[int]{grace: 5 * time.Second, maxGone: 9}, script) })
	}
	for name, script := range map[string]string{
		"of events with sockets": "a1:send +2: a2:send +1:expired0 +1: +1:expired1",
		"of events that wait":    "a1:send n1:wait a1:wait dn:send0,wait +2: a1:wait +1:expired0,expired1 c1: d:send2",
		"of events for room":     "a1:send r1:wait dr:send0,wait +3:expired0 a1:send",
	} {
		t.Run("timeout "+name, func(t *testing.T) {
			playBook(t, &book[int]{grace: 5 * time.Second, timeout: 3 * time.Second, maxGone: 9}, script)
		})
	}
	t.Run("without a grace", func(t *testing.T) {
		playBook(t, &book[int]{}, "a1:send n1:no_subscriber a1:send r1:wait d:send1")
	})
	t.Run("few absent topics are remembered", func(t *testing.T) {
		playBook(t, &book[int]{grace: 5 * time.Second, maxGone: 1},
			"a1:send n1:wait dn:send0,wait a2:send n2:wait dn:send1,wait +5:no_subscriber0,no_subscriber1 a1:send a2:no_subscriber")
	})
}

func playBook(t *testing.T, b *book[int], script string) {
	t.Helper()
	a := &account[int]{}
	var now time.Duration
	var sent []*flight[int] // events that are with sockets
	here := false           // a client has come
	for i, step := range strings.Fields(script) {
		word, want, _ := strings.Cut(step, ":")
		var did []string
		drop := func(f *flight[int], reason receipt.Reason) {
			did = append(did, fmt.Sprint(reason, f.event))
			b.end(f, false, now)
			sent = without(sent, f)
		}
		decide := func(f *flight[int], v verdict, reason receipt.Reason) {
			switch v {
			case send:
				did, sent = append(did, "send"), append(sent, f)
			case wait:
				did = append(did, "wait")
			default:
				did = append(did, string(reason))
				b.end(f, false, now)
			}
		}
		switch topic := word[1:]; {
		case word == "drain":
			b.drain(drop)
		case word == "out":
			b.cutOff(now)
		case word == "back":
			b.reached(now)
		case word[0] == 'd':
			for l := b.takeDue(); l != nil; l = b.takeDue() {
				l.tried = true
				b.revive(l, here)
				for f := b.next(l); f != nil; f = b.next(l) {
					did, sent = append(did, fmt.Sprint("send", f.event)), append(sent, f)
					if why, fails := words[topic]; fails {
						sent = without(sent, f)
						v, reason := b.missed(f, why, now)
						decide(f, v, reason)
						break
					}
				}
				b.settle(l, now)
			}
		case word[0] == 'w':
			f := first(sent, topic)
			sent = without(sent, f)
			b.end(f, true, now)
		case word[0] == 'a':
			f := &flight[int]{event: int(b.seq), topic: topic, account: a}
			v, reason := b.arrive(f, now)
			decide(f, v, reason)
		case strings.ContainsRune("nNrm", rune(word[0])):
			f := first(sent, topic)
			for _, other := range sent {
				if word[0] == 'N' && other.topic == topic {
					f = other
				}
			}
			sent = without(sent, f)
			v, reason := b.missed(f, words[strings.ToLower(word[:1])], now)
			decide(f, v, reason)
		case word[0] == 'c' || word[0] == 'C':
			here = word[0] == 'C'
			if l := b.lines[topic]; l != nil {
				b.changed(l)
			}
		case word[0] == '+':
			var s int
			if _, err := fmt.Sscan(topic, &s); err != nil {
				t.Fatal(err)
			}
			now += time.Duration(s) * time.Second
			if at, ok := b.deadline(); want != "" && (!ok || at > now) {
				t.Errorf("%s (step %d): no deadline by now", step, i)
			}
			b.expire(now, drop)
		}
		if got := strings.Join(did, ","); got != want {
			t.Fatalf("%s (step %d): %s, want %s", word, i, got, want)
		}
		waiting := 0
		for _, l := range b.lines {
			waiting += len(l.waiting)
		}
		if waiting != b.counts[forClient]+b.counts[forAnswer]+b.counts[forRoom] || b.open.n != waiting+len(sent) {
			t.Fatalf("%s (step %d): %d wait and %d are open, counted %v and %d", word, i, waiting, waiting+len(sent), b.counts, b.open.n)
		}
	}
}

var words = map[string]cause{"n": forClient, "r": forRoom, "m": forAnswer}

func first(list []*flight[int], topic string) *flight[int] {
	for _, f := range list {
		if f.topic == topic {
			return f
		}
	}
	panic("no event of " + topic + " is with sockets")
}

func without(list []*flight[int], f *flight[int]) []*flight[int] {
	for i := range list {
		if list[i] == f {
			return append(list[:i:i], list[i+1:]...)
		}
	}
	return list
}

func TestDemand(t *testing.T) {
	// 8 at sockets, in groups of 2, and 3 more that wait.
	a := &account[int]{max: 8, lot: 2, bound: 3, owed: 8}
	step := func(what string, want int) {
		t.Helper()
		n := a.ask()
		if n != want {
			t.Errorf("%s: asks for %d, want %d", what, n, want)
		}
		a.owed += n
	}
	var fs []*flight[int]
	receive := func(n int) {
		a.receive(n)
		for range n {
			fs = append(fs, &flight[int]{account: a})
		}
	}
	finish := func(n int) {
		for range n {
			a.finish(fs[0], nil)
			fs = fs[1:]
		}
	}
	step("at first", 0)
	receive(6)
	step("6 arrived", 0)
	finish(1)
	step("one is finished", 0)
	finish(1)
	step("two are finished", 2)
	receive(4)
	for range 4 {
		fs[len(fs)-4].lag()
	}
	step("all arrived, one waits, nothing else is coming", 1)
	receive(1)
	for _, f := range fs[:4] {
		f.lag()
	}
	step("five wait, of which three count", 2)
	receive(2)
	step("all is used up", 0)
	if a.starved() {
		t.Error("starved although no more may wait")
	}
	finish(5)
	step("those that waited are finished", 2)
}
