package main

import (
	"fmt"
	"testing"
	"time"
)

func TestAnswersAreBoundedInNumberAndTime(t *testing.T) {
	a := newAnswers()
	now := time.Now()
	accept := func(key string) {
		e, mine := a.begin(answerID{"p", key}, [32]byte{1}, now)
		if !mine {
			t.Fatalf("%s is known", key)
		}
		a.finish(e, result{status: 202, accepted: 1}, now)
	}
	for n := range 3 * maxAnswers {
		accept(fmt.Sprint(n))
	}
	if len(a.entries) > maxAnswers || len(a.line) > maxAnswers {
		t.Errorf("%d entries, %d in line", len(a.entries), len(a.line))
	}
	if e, mine := a.begin(answerID{"p", fmt.Sprint(3*maxAnswers - 1)}, [32]byte{1}, now); mine || e.result.accepted != 1 {
		t.Error("the newest answer is forgotten")
	}
	now = now.Add(answerAge + time.Second)
	accept(fmt.Sprint(3*maxAnswers - 1))
	if len(a.entries) != 1 || len(a.line) != 1 {
		t.Errorf("%d entries, %d in line after their time", len(a.entries), len(a.line))
	}
}

func TestAnswersUnderWayAreBounded(t *testing.T) {
	a := newAnswers()
	now := time.Now()
	var first *entry
	for n := range maxAnswers {
		e, mine := a.begin(answerID{"p", fmt.Sprint(n)}, [32]byte{}, now)
		if !mine {
			t.Fatal(n)
		}
		if n == 0 {
			first = e
		}
	}
	if e, _ := a.begin(answerID{"p", "more"}, [32]byte{}, now); e != nil {
		t.Fatal("there is no bound")
	}
	// A failure is forgotten, and its key may be used again.
	a.finish(first, result{status: 429, fault: "full"}, now)
	if e, mine := a.begin(answerID{"p", "0"}, [32]byte{}, now); e == nil || !mine {
		t.Error("a failed request cannot be tried again")
	}
	// Another producer's key is another key.
	if a.entries[answerID{"q", "1"}] != nil {
		t.Error("keys are shared")
	}
}
