package websocket

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestDisconnectsAreForgotten: a node that always admits some client keeps the calls of
// about two admissions, and each client learns of exactly those that came after its
// admission began.
func TestDisconnectsAreForgotten(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	type client struct {
		admittance
		after map[string]bool // disconnected since
	}
	var d disconnects
	var clients []client
	most := 0
	for step := range 20_000 {
		id := fmt.Sprint(step)
		d.note(id)
		for _, c := range clients {
			c.after[id] = true
		}
		clients = append(clients, client{d.begin(), map[string]bool{}})
		if len(clients) > 10 {
			for _, c := range clients {
				other := fmt.Sprint(step - r.IntN(100))
				if d.since(other, c.admittance) != c.after[other] {
					t.Fatalf("step %d: since(%s) of a client is %v", step, other, !c.after[other])
				}
			}
			d.end(clients[0].admittance)
			clients = clients[1:]
		}
		most = max(most, len(d.ages[0].last)+len(d.ages[1].last))
	}
	if most > 30 {
		t.Errorf("%d calls are kept for 10 clients", most)
	}
	for _, c := range clients {
		d.end(c.admittance)
	}
	if d.note("last"); d.ages[0].last != nil || d.ages[1].last != nil {
		t.Error("a call is kept though no client is admitted")
	}
}
