package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// alerts empties the events of a visitor and returns the alerts among them, as "kind item".
func (v *visitor) alerts() (came []string) {
	for {
		select {
		case e := <-v.events:
			var p alert
			if e.event != "push_timed" {
				continue
			}
			if err := json.Unmarshal(e.payload, &p); err != nil {
				v.t.Fatal(err)
			}
			came = append(came, fmt.Sprint(p.Kind, " ", p.ItemID))
		default:
			return came
		}
	}
}

// buys buys an item with forms.
func (v *visitor) buys(item int64, key string) {
	v.t.Helper()
	v.post("/cart/add", "item_id", id(item))
	if status, page := v.post("/checkout", "key", key); status != http.StatusSeeOther {
		v.t.Fatal(status, page)
	}
}

// TestATabThatHasNotJoined takes nothing away from another tab of the same cart.
func TestATabThatHasNotJoined(t *testing.T) {
	a := &app{}
	joined := &cartChannel{app: a, id: "c", cart: cart{[]int64{1, 2}}}
	joined.want(joined.cart.items, nil)
	before := &cartChannel{app: a, id: "c", cart: cart{[]int64{1, 2}}}
	before.HandleTerminate(t.Context(), nil, nil)
	joined.want([]int64{1, 3}, []int64{2, 9})
	for id, n := range map[int64]int{1: 1, 2: 0, 3: 1, 9: 0} {
		if got := a.wanted.by(id); len(got) != n {
			t.Errorf("%v want item %d", got, id)
		}
	}
	joined.HandleTerminate(t.Context(), nil, nil)
	if len(a.wanted.carts) != 0 || len(joined.wants) != 0 {
		t.Errorf("%v are wanted in the end", a.wanted.carts)
	}
}

// TestAnAlertComesOnceAtTwoNodes: the same cart is open at two nodes, which both see that a
// size is almost gone.
func TestAnAlertComesOnceAtTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		town := newTown(t, "-stock", "6")
		a, b := town.node("a"), town.node("b")
		shoe := item(a, 0, 0)
		here, there, buyer := enter(t, a), enter(t, b), enter(t, b)
		here.cart = signed(t, a, here.cartID, shoe)
		there.session, there.cart, there.cartID, there.token = here.session, here.cart, here.cartID, here.token
		here.tab(cartTopic(here.cartID))
		here.tab(cartTopic(here.cartID)) // two tabs at one
		there.tab(cartTopic(there.cartID))
		time.Sleep(time.Second)
		buyer.buys(shoe, "k")
		time.Sleep(time.Second)
		synctest.Wait()
		want := fmt.Sprint(almostGone, " ", shoe)
		if got := here.alerts(); len(got) != 2 || got[0] != want || got[1] != want {
			t.Errorf("two tabs at one node got %q", got)
		}
		if got := there.alerts(); len(got) != 1 || got[0] != want {
			t.Errorf("the tab at the other node got %q", got)
		}
		// The node that alerts dies: once the other one knows, it does.
		town.network.Kill("a")
		time.Sleep(2 * time.Second)
		for n := range 5 {
			buyer.buys(shoe, fmt.Sprint("k", n))
		}
		if _, err := b.store.Restock(t.Context(), shoe, 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := there.alerts(); len(got) != 1 || got[0] != fmt.Sprint(back, " ", shoe) {
			t.Errorf("after the death of the other node the tab got %q", got)
		}
	})
}
