package backplane

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTokensAreSafeAndDiffer(t *testing.T) {
	seen := make(map[string]string)
	for _, text := range []string{"", "=", "==", "a", "A", "a.b", "a=2Eb", "a b", "*", ">", "\x00", "\xff", "ü", "user:42", strings.Repeat(".", 200), strings.Repeat(".", 201), strings.Repeat("a", 513)} {
		token := Token(text)
		if token == "" || len(token) > maxToken || strings.ContainsAny(token, " .*>\x00\r\n") || !utf8.ValidString(token) {
			t.Errorf("%q becomes %q", text, token)
		}
		if other, ok := seen[token]; ok {
			t.Errorf("%q and %q become %q", text, other, token)
		}
		seen[token] = text
	}
	if Token("user:42") != "user:42" {
		t.Error("a plain topic does not stay readable")
	}
}

// TestInterestTellsWhatHasChanged follows a network that is told now and then.
func TestInterestTellsWhatHasChanged(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	woken := 0
	in := NewInterest(func() { woken++ })
	wanted, network := make(map[string]bool), make(map[string]bool)
	for range 10_000 {
		topic := fmt.Sprint(r.IntN(20))
		switch r.IntN(5) {
		case 0, 1:
			in.Join(topic)
			wanted[topic] = true
		case 2, 3:
			in.Leave(topic)
			delete(wanted, topic)
		case 4:
			if r.IntN(10) == 0 {
				in.Forget()
				clear(network)
			}
			joins, leaves, upTo := in.Take()
			for _, topic := range joins {
				if network[topic] {
					t.Fatalf("joined twice: %s", topic)
				}
				network[topic] = true
			}
			for _, topic := range leaves {
				if !network[topic] {
					t.Fatalf("left, but not joined: %s", topic)
				}
				delete(network, topic)
			}
			in.Told(upTo)
			if fmt.Sprint(network) != fmt.Sprint(wanted) || in.Len() != len(wanted) {
				t.Fatalf("the network has %v, want %v", network, wanted)
			}
			if err := in.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	in.Join("new")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := in.Wait(ctx); err == nil || woken == 0 {
		t.Errorf("%v, woken %d times", err, woken)
	}
}

// TestOutboxKeepsTheNewest in their order and within its bound.
func TestOutboxKeepsTheNewest(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	o := NewOutbox(2000)
	var want []string
	dropped := 0
	var block Block
	for n := range 20_000 {
		text := fmt.Sprint(n, strings.Repeat("x", r.IntN(300)))
		large, first, gone := o.Add("s", uint64(n), 250, func(dst []byte) []byte { return append(dst, text...) })
		if (large > 0) != (len(text) > 250) {
			t.Fatalf("%d bytes: too large %d", len(text), large)
		}
		if large == 0 {
			if first != (len(want) == 0) {
				t.Fatalf("first %v with %d before", first, len(want))
			}
			want = append(want, text)
		}
		want, dropped = want[gone:], dropped+gone
		if messages, bytes := o.Len(); messages != len(want) || bytes > 2000+500 {
			t.Fatalf("%d messages of %d bytes, want %d messages", messages, bytes, len(want))
		}
		if r.IntN(30) == 0 {
			block = o.Take(block)
			for i, p := range block.Parcels {
				if string(p.Data()) != want[i] || !strings.HasPrefix(want[i], fmt.Sprint(p.ID)) {
					t.Fatalf("%q in the place of %q", p.Data(), want[i])
				}
			}
			if len(block.Parcels) != len(want) {
				t.Fatalf("%d, want %d", len(block.Parcels), len(want))
			}
			want = nil
		}
	}
	if dropped == 0 || o.Dropped() != int64(dropped) {
		t.Errorf("dropped %d, counted %d", dropped, o.Dropped())
	}
}

func TestOutboxAllocatesNothingInSteadyState(t *testing.T) {
	o := NewOutbox(1 << 20)
	data := make([]byte, 200)
	var block Block
	if n := testing.AllocsPerRun(1000, func() {
		for range 10 {
			o.Add("subject", 0, 1000, func(dst []byte) []byte { return append(dst, data...) })
		}
		block = o.Take(block)
	}); n > 0.1 {
		t.Errorf("%v allocations", n)
	}
}

// TestInboxNotesLossesInTheirPlace.
func TestInboxNotesLossesInTheirPlace(t *testing.T) {
	in := NewInbox[string](1000)
	show := func(list []Arrival[string]) (all []string) {
		for _, a := range list {
			if a.Lost {
				a.Message = "LOST"
			}
			all = append(all, a.Message)
		}
		return all
	}
	in.Lose()
	in.Lose()
	if !in.Add("huge", 5000) || in.Add("a", 100) || in.Add("b", 100) {
		t.Error("an empty inbox takes any message, a full one none")
	}
	list := in.Take(nil)
	if got := show(list); !slices.Equal(got, []string{"LOST", "huge", "LOST"}) {
		t.Errorf("%q", got)
	}
	if in.Add("c", 100) { // huge is still handled
		t.Error("no bound while messages are handled")
	}
	list = in.Take(list)
	if got := show(list); !slices.Equal(got, []string{"LOST"}) {
		t.Errorf("%q", got)
	}
	<-in.Wake()
	if !in.Add("d", 100) {
		t.Error("there is room again")
	}
	<-in.Wake()
	if bytes, dropped := in.Bytes(); bytes != 100+overhead || dropped != 3 {
		t.Errorf("%d bytes, %d dropped", bytes, dropped)
	}
}
