package pubsub

import "testing"

func TestOutboxIsBounded(t *testing.T) {
	o := outbox{wake: make(chan struct{}, 1), byNode: map[string][]answer{}}
	if o.add("a", answer{}) {
		t.Error("took an answer that nothing would send")
	}
	o.setRunning(true)
	for i := range maxOutbox {
		if !o.add(string(rune('a'+i%3)), answer{id: uint64(i)}) {
			t.Fatalf("refused answer %d", i)
		}
	}
	if o.add("a", answer{}) {
		t.Error("took more than it may hold")
	}
	n := 0
	all, _, _ := o.take()
	for _, list := range all {
		n += len(list)
	}
	if n != maxOutbox || len(o.wake) != 1 || !o.add("a", answer{}) {
		t.Errorf("%d answers, woken %d times", n, len(o.wake))
	}
	if n := o.setRunning(false); n != 1 {
		t.Errorf("%d answers dropped at the end", n)
	}
	if all, asks, agains := o.take(); len(all)+len(asks)+len(agains) != 0 {
		t.Errorf("%d nodes have answers after the end", len(all))
	}
}

// TestAnswersThatTheEndOfRunDropsAreCounted: their deliveries end at the deadline of
// their origin, and may be sent again.
func TestAnswersThatTheEndOfRunDropsAreCounted(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	h.outbox.byNode = map[string][]answer{} // as with a remote
	h.setRunning(true)
	h.outbox.add("other", answer{})
	h.outbox.add("other", answer{})
	h.setRunning(false)
	if n := h.Snapshot().AnswersDropped; n != 2 {
		t.Errorf("%d counted", n)
	}
}

// A reason without a code of its own must not arrive as success.
func TestAnswerWithoutACodeIsNoSuccess(t *testing.T) {
	for _, err := range ranks {
		r := reader{rest: answer{id: 7, err: err, kept: true}.append(nil)}
		got, want := r.answer(), err
		if err == ErrNoAnswer {
			want = ErrGone
		}
		if got.id != 7 || got.err != want || !got.kept {
			t.Errorf("%v arrived as %+v", err, got)
		}
	}
}
