package inventory

import (
	"cmp"
	"slices"

	"github.com/penstock-go/penstock/examples/sneakers/store"
)

// Change is something that clients should see. One of the two is set.
type Change struct {
	// Released is a product that can be bought from now on.
	Released *store.Product
	// Item is a size whose stock has changed, Before how many pairs there were.
	Item   *store.Item
	Before int
}

// state is the copy: pure, without a lock. Products are never changed in place, so that
// readers need no lock for what they got.
type state struct {
	products []*store.Product // in the order of their ids
	byID     map[int64]*store.Product
	product  map[int64]int64 // of an item
}

// load replaces the copy by what the database has, and returns what is different for those
// who knew the copy before. An older report than the copy's own is left out.
func (s *state) load(products []store.Product) (changes []Change) {
	first := s.byID == nil
	old := *s
	s.byID, s.product, s.products = make(map[int64]*store.Product), make(map[int64]int64), nil
	for i := range products {
		p := products[i]
		p.Items = slices.Clone(p.Items)
		before := old.byID[p.ID]
		for j := range p.Items {
			it := &p.Items[j]
			s.product[it.ID] = p.ID
			known, ok := find(before, it.ID)
			switch {
			case !ok:
			case known.Revision > it.Revision:
				*it = known // it has changed since the database was read
			case known.Available != it.Available:
				changes = append(changes, Change{Item: it, Before: known.Available})
			}
		}
		if before != nil && before.Released {
			p.Released = true // as before: it has been released since the database was read
		}
		if !first && p.Released && (before == nil || !before.Released) {
			changes = append([]Change{{Released: &p}}, changes...)
		}
		s.byID[p.ID], s.products = &p, append(s.products, &p)
	}
	slices.SortFunc(s.products, func(a, b *store.Product) int { return cmp.Compare(a.ID, b.ID) })
	return changes
}

// find returns an item of a product, which may be nil.
func find(p *store.Product, id int64) (store.Item, bool) {
	if p == nil {
		return store.Item{}, false
	}
	for _, it := range p.Items {
		if it.ID == id {
			return it, true
		}
	}
	return store.Item{}, false
}

// release takes over that a product is released.
func (s *state) release(id int64) []Change {
	old := s.byID[id]
	if old == nil || old.Released {
		return nil // unknown here: the next refresh brings it
	}
	p := *old
	p.Released = true
	s.replace(&p)
	return []Change{{Released: &p}}
}

// stock takes over what is left of a size, unless the copy knows of something later.
func (s *state) stock(now store.Stock) []Change {
	old := s.byID[s.product[now.ItemID]]
	known, ok := find(old, now.ItemID)
	if !ok || known.Revision >= now.Revision {
		return nil
	}
	p := *old
	p.Items = slices.Clone(old.Items)
	i := slices.IndexFunc(p.Items, func(it store.Item) bool { return it.ID == now.ItemID })
	p.Items[i].Available, p.Items[i].Revision = now.Available, now.Revision
	s.replace(&p)
	if known.Available == now.Available {
		return nil
	}
	return []Change{{Item: &p.Items[i], Before: known.Available}}
}

// replace puts a product in the place of the one with its id.
func (s *state) replace(p *store.Product) {
	s.byID[p.ID] = p
	s.products = slices.Clone(s.products)
	for i, q := range s.products {
		if q.ID == p.ID {
			s.products[i] = p
		}
	}
}
