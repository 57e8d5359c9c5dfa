package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// counted is what an admin's page shows.
type counted struct {
	Shoppers, InCarts, Sold int
	Pages                   map[string]int
	Stock                   map[int64]int
}

// seenMeta is a meta of presence with what tells two of them apart.
type seenMeta struct {
	meta
	Ref string `json:"phx_ref"`
}

type seenState map[string]struct{ Metas []seenMeta }

// openPage is an open page of the admin: what its script knows.
type openPage struct {
	*visitor
	carts   map[string][]seenMeta
	figures figures
}

// openAdmin opens the admin's page at a node.
func openAdmin(t *testing.T, a *app) *openPage {
	t.Helper()
	tok, err := a.adminToken()
	if err != nil {
		t.Fatal(err)
	}
	p := &openPage{visitor: enter(t, a)}
	w, err := p.open("/admin_socket", tok.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.join(t.Context(), trackerTopic, struct{}{}); err != nil {
		t.Fatal(err)
	}
	return p
}

// counts takes over what has come, as the page's script does.
func (p *openPage) counts() (c counted) {
	for more := true; more; {
		select {
		case e := <-p.events:
			p.take(e)
		default:
			more = false
		}
	}
	c = counted{Shoppers: len(p.carts), Sold: p.figures.Sold, Pages: make(map[string]int), Stock: p.figures.Items}
	for _, metas := range p.carts {
		for _, m := range metas {
			c.Pages[m.Page]++
		}
		c.InCarts += len(metas[len(metas)-1].Items)
	}
	return c
}

func (p *openPage) take(e event) {
	var diff struct{ Joins, Leaves seenState }
	var to any = &diff
	switch e.event {
	case "presence_state":
		p.carts, to = make(map[string][]seenMeta), &diff.Joins
	case "presence_diff":
	case "figures":
		p.figures = figures{}
		to = &p.figures
	default:
		return
	}
	if err := json.Unmarshal(e.payload, to); err != nil {
		p.t.Error(err)
	}
	if p.carts == nil {
		return // it is in the state that comes
	}
	without := func(metas, gone []seenMeta) []seenMeta {
		return slices.DeleteFunc(slices.Clone(metas), func(m seenMeta) bool {
			return slices.ContainsFunc(gone, func(n seenMeta) bool { return n.Ref == m.Ref })
		})
	}
	for id, joins := range diff.Joins {
		p.carts[id] = append(without(p.carts[id], joins.Metas), joins.Metas...)
	}
	for id, leaves := range diff.Leaves {
		if p.carts[id] = without(p.carts[id], leaves.Metas); len(p.carts[id]) == 0 {
			delete(p.carts, id)
		}
	}
}

// crowd does what shoppers do, by chance, and knows what the admin should see.
type crowd struct {
	t        *testing.T
	r        *rand.Rand
	nodes    []*app
	shoppers []*crowdShopper
	stock    map[int64]int
	sold     int
	keys     int
}

type crowdShopper struct {
	*visitor
	node  *app
	tabs  []*wire
	pages []string
	items []int64
}

func (c *crowd) truth() counted {
	truth := counted{Sold: c.sold, Pages: make(map[string]int), Stock: c.stock}
	for _, s := range c.shoppers {
		if len(s.tabs) == 0 {
			continue
		}
		truth.Shoppers++
		truth.InCarts += len(s.items)
		for _, page := range s.pages {
			truth.Pages[page]++
		}
	}
	return truth
}

// act does one thing.
func (c *crowd) act() {
	t := c.t
	t.Helper()
	if len(c.shoppers) < 4 || c.r.IntN(4) == 0 {
		node := c.nodes[c.r.IntN(len(c.nodes))]
		c.shoppers = append(c.shoppers, &crowdShopper{visitor: enter(t, node), node: node})
	}
	s := c.shoppers[c.r.IntN(len(c.shoppers))]
	what := c.r.IntN(10)
	switch {
	case len(s.tabs) == 0 || what < 2 && len(s.tabs) < 3:
		page := []string{"/", "/cart", "/products/1"}[c.r.IntN(3)]
		w := s.tab()
		if err := w.join(t.Context(), cartTopic(s.cartID), map[string]string{"serialized": s.cart, "page": page}); err != nil {
			t.Fatal(err)
		}
		s.tabs, s.pages = append(s.tabs, w), append(s.pages, page)
	case what < 4:
		i := c.r.IntN(len(s.tabs))
		s.tabs[i].close()
		s.tabs, s.pages = slices.Delete(s.tabs, i, i+1), slices.Delete(s.pages, i, i+1)
	case what < 6 && len(s.items) > 0:
		s.post("/checkout", "key", fmt.Sprint("key", c.keys))
		c.keys++
		if s.cart != "" {
			return // refused: something was sold out
		}
		for _, id := range s.items {
			c.stock[id]--
			c.sold++
		}
		s.items = nil
	case what < 7 && len(s.items) > 0:
		s.change(t, "remove_item", s.items[0])
		s.items = s.items[1:]
	default:
		product := c.r.IntN(2)
		if slices.ContainsFunc(s.items, func(id int64) bool {
			p, _ := s.node.inventory.Item(id)
			return p.ID == s.node.inventory.Products()[product].ID
		}) {
			return
		}
		id := item(s.node, product, c.r.IntN(len(sizes)))
		s.change(t, "add_item", id)
		s.items = append(s.items, id)
	}
}

// change changes the cart in one of the tabs.
func (s *crowdShopper) change(t *testing.T, event string, item int64) {
	t.Helper()
	s.wire = s.tabs[0]
	if err := s.client.change(t.Context(), event, item); err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // the other tabs have it
}

// TestTheAdminsCountsAreTrueWithinTwoSeconds: whatever shoppers do, and although a node is
// killed, an admin at each node sees after two seconds who is here, on which pages, what is
// in carts and in stock, and what was sold.
func TestTheAdminsCountsAreTrueWithinTwoSeconds(t *testing.T) {
	for _, names := range [][]string{{"a"}, {"a", "b", "c"}} {
		t.Run(fmt.Sprint(len(names), " nodes"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seed := rand.Uint64()
				if s := os.Getenv("PENSTOCK_SEED"); s != "" {
					var err error
					if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
						t.Fatal(err)
					}
				}
				t.Logf("again with PENSTOCK_SEED=%d", seed)
				town := newTown(t, "-stock", "3")
				c := &crowd{t: t, r: rand.New(rand.NewPCG(seed, 0)), stock: make(map[int64]int)}
				for _, name := range names {
					c.nodes = append(c.nodes, town.node(name))
				}
				for _, p := range c.nodes[0].inventory.Products() {
					for _, it := range p.Items {
						c.stock[it.ID] = it.Available
					}
				}
				var admins []*openPage
				for _, a := range c.nodes {
					admins = append(admins, openAdmin(t, a))
				}
				// By chance nothing might be sold.
				first := item(c.nodes[0], 0, 0)
				enter(t, c.nodes[0]).buys(first, "first")
				c.stock[first]--
				c.sold++
				const rounds = 8
				for round := range rounds {
					if round == rounds/2 && len(names) > 1 {
						// Its shoppers do not come back.
						town.network.Kill("b")
						killed := c.nodes[1]
						for _, s := range c.shoppers {
							if s.node == killed {
								s.tabs, s.pages = nil, nil
							}
						}
						c.shoppers = slices.DeleteFunc(c.shoppers, func(s *crowdShopper) bool { return s.node == killed })
						c.nodes, admins = slices.Delete(c.nodes, 1, 2), slices.Delete(admins, 1, 2)
					}
					for range 5 {
						c.act()
					}
					time.Sleep(2 * time.Second)
					synctest.Wait()
					want := c.truth()
					for i, admin := range admins {
						if got := admin.counts(); fmt.Sprint(got) != fmt.Sprint(want) {
							t.Fatalf("round %d: the admin at node %d sees\n%v, not\n%v", round, i, got, want)
						}
					}
				}
			})
		})
	}
}
