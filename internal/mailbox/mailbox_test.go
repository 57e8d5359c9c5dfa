package mailbox

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTakeAnswersAllInOrder(t *testing.T) {
	b := New[int]()
	for i := range 5 {
		if !b.Post(i) {
			t.Fatal("refused")
		}
	}
	b.Poke()
	b.Poke()
	mails, poked := b.Take(nil)
	if !slices.Equal(mails, []int{0, 1, 2, 3, 4}) || !poked {
		t.Fatal(mails, poked)
	}
	if mails, poked = b.Take(mails); len(mails) != 0 || poked {
		t.Fatal(mails, poked)
	}
}

func TestWaitIsWoken(t *testing.T) {
	for name, wake := range map[string]func(b *Mailbox[int]){
		"post": func(b *Mailbox[int]) { b.Post(1) },
		"poke": func(b *Mailbox[int]) { b.Poke() },
	} {
		for _, limit := range []time.Duration{-1, time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				b := New[int]()
				woken := false
				begun := time.Now()
				go func() { b.Wait(limit); woken = true }()
				synctest.Wait()
				if woken {
					t.Fatalf("%s: woken by nothing", name)
				}
				wake(b)
				synctest.Wait()
				if !woken || time.Since(begun) != 0 {
					t.Fatalf("%s: not woken", name)
				}
				b.Wait(-1) // what was there before does not block
			})
		}
	}
}

func TestWaitTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New[int]()
		begun := time.Now()
		b.Wait(time.Second)
		if took := time.Since(begun); took != time.Second {
			t.Fatal(took)
		}
		b.Wait(0)
		b.Post(1)
		b.Wait(time.Second)
		if took := time.Since(begun); took != time.Second {
			t.Fatal(took)
		}
	})
}

func TestCloseAnswersTheRestOnce(t *testing.T) {
	b := New[int]()
	b.Post(1)
	b.Post(2)
	if rest := b.Close(); !slices.Equal(rest, []int{1, 2}) {
		t.Fatal(rest)
	}
	if b.Post(3) {
		t.Fatal("posted after the close")
	}
	b.Poke()
	if rest := b.Close(); len(rest) != 0 {
		t.Fatal(rest)
	}
}

// Many post and poke, one takes, waiting with and without a limit: nothing is
// lost, nothing comes twice, the order of each sender is kept.
func TestManySendersLoseNothing(t *testing.T) {
	const senders, each = 8, 5000
	b := New[[2]int]()
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				b.Post([2]int{s, i})
				if i%100 == 0 {
					b.Poke()
				}
			}
		})
	}
	next := make([]int, senders)
	var mails [][2]int
	for got, round := 0, 0; got < senders*each; round++ {
		if round%2 == 0 {
			b.Wait(-1)
		} else {
			b.Wait(time.Microsecond)
		}
		mails, _ = b.Take(mails)
		for _, m := range mails {
			if m[1] != next[m[0]] {
				t.Fatalf("sender %d: %d, want %d", m[0], m[1], next[m[0]])
			}
			next[m[0]]++
			got++
		}
		if got == senders*each {
			break
		}
	}
	wg.Wait()
}

// A message that is written in its place is sent by End, in turn with posted ones, and finds
// its place empty although the storage has held others.
func TestBeginAndEndSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New[[2]int]()
		var spent [][2]int
		for round := range 4 {
			woken := false
			go func() { b.Wait(-1); woken = true }()
			synctest.Wait()
			for i := range 3 {
				m := b.Begin()
				if *m != [2]int{} {
					t.Fatalf("round %d: the place has %v in it", round, *m)
				}
				m[0] = i + 1
				b.End()
			}
			b.Post([2]int{4})
			synctest.Wait()
			if !woken {
				t.Fatal("End does not wake the receiver")
			}
			mails, _ := b.Take(spent)
			if !slices.Equal(mails, [][2]int{{1}, {2}, {3}, {4}}) {
				t.Fatal(mails)
			}
			clear(mails)
			spent = mails
		}
		b.Close()
		if b.Begin() != nil {
			t.Fatal("a closed mailbox has a place")
		}
		b.Poke() // the lock is free
	})
}
