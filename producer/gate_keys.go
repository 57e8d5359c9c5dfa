package producer

// account is what is known of a key.
type account[T any] struct {
	key        string
	unfinished int     // events, accepted and without a receipt
	line       line[T] // pushes that wait
	listed     bool    // in the rotation
	before     *account[T]
	after      *account[T] // the key whose turn is next
}

// ticket is an accepted event until it is finished, or a push that waits.
type ticket[T any] struct {
	account *account[T] // which forget keeps for as long as there is a ticket of it
	size    int64       // in bytes
}

const (
	spareAccounts = 64   // kept for other keys
	smallMap      = 1024 // keys; a larger map is made anew when most of them are gone
)

// account returns the account of a key, which is made if there is none.
func (g *gate[T]) account(key string) *account[T] {
	if g.sole != nil {
		return g.sole
	}
	a := g.keys[key]
	if a != nil {
		return a
	}
	if last := len(g.spare) - 1; last >= 0 {
		a, g.spare = g.spare[last], g.spare[:last]
	} else {
		a = new(account[T])
	}
	a.key = key
	g.keys[key] = a
	g.peak = max(g.peak, len(g.keys))
	return a
}

// forget removes a key of which nothing is left. A map does not shrink, so a large one
// is replaced when most of its keys are gone.
func (g *gate[T]) forget(a *account[T]) {
	if a == g.sole || a.unfinished > 0 || a.line.len > 0 {
		return
	}
	delete(g.keys, a.key)
	a.key = "" // a spare account must not keep the text alive
	if len(g.spare) < spareAccounts {
		g.spare = append(g.spare, a)
	}
	if g.peak > smallMap && len(g.keys) < g.peak/8 {
		keys := make(map[string]*account[T], len(g.keys))
		for key, a := range g.keys {
			keys[key] = a
		}
		g.keys, g.peak = keys, len(keys)
	}
}

// list puts a key at the end of the rotation if its first push waits for nothing but
// the bounds in total, and it is not in there.
func (g *gate[T]) list(a *account[T]) {
	if a.listed || a.line.len == 0 || a.unfinished >= g.keyMax {
		return
	}
	a.listed = true
	if g.rotation == nil {
		a.before, a.after = a, a
		g.rotation = a
		return
	}
	a.before, a.after = g.rotation.before, g.rotation
	a.before.after, a.after.before = a, a
}

// unlist takes a key out of the rotation. If it was its turn, the next one has it.
func (g *gate[T]) unlist(a *account[T]) {
	if !a.listed {
		return
	}
	if g.rotation == a {
		g.rotation = a.after
	}
	if g.rotation == a { // it follows itself: it was the only one
		g.rotation = nil
	}
	a.before.after, a.after.before = a.after, a.before
	a.listed, a.before, a.after = false, nil, nil
}
