package dashboard

import (
	"bytes"
	"reflect"
	"strconv"
	"strings"
)

// table holds the rows of one list as JSON and finds out what has changed in them.
type table struct {
	plan  plan
	limit int // of the lists in a row
	most  int // rows
	rows  map[string]*row
	order []*row // of the last round
	left  int    // rows that were too many
	gone  []byte // keys of those that were not in the last round, as elements of a list
	round uint64
	next  *row // is used for the next row
}

// row is an element of the list.
type row struct {
	key   string
	text  []byte // the values of all fields
	ends  []int  // of each value in text; an empty one is left out
	round uint64 // in which it was there
}

func newTable(p plan, most, limit int) table {
	return table{plan: p, limit: limit, most: most, rows: make(map[string]*row), next: new(row)}
}

// at returns the text of a field.
func (r *row) at(i int) []byte {
	if i == 0 {
		return r.text[:r.ends[0]]
	}
	return r.text[r.ends[i-1]:r.ends[i]]
}

// begin begins a round.
func (t *table) begin() {
	t.round++
	t.order = t.order[:0]
	t.left = 0
}

// put adds a struct to the round and appends what has changed in it to b, as an element
// of a list whose first one is at start. Its first field is the key. Of a struct that is
// only partly known, all fields but the known ones are as they were.
func (t *table) put(b []byte, start int, v reflect.Value, known map[string]bool) []byte {
	if len(t.order) >= t.most {
		t.left++
		return b
	}
	r := t.next
	r.text, r.ends = r.text[:0], r.ends[:0]
	r.text = t.plan.fields[0].value(r.text, v, t.limit)
	old := t.rows[string(r.text)]
	if old != nil && old.round == t.round {
		r.text = t.another(r.text)
		old = t.rows[string(r.text)]
	}
	r.ends = append(r.ends, len(r.text))
	for i := 1; i < len(t.plan.fields); i++ {
		f := &t.plan.fields[i]
		if known != nil && old != nil && !known[f.name] {
			r.text = append(r.text, old.at(i)...)
		} else {
			r.text = f.value(r.text, v, t.limit)
		}
		r.ends = append(r.ends, len(r.text))
	}
	if old == nil {
		r.key, r.round = string(r.at(0)), t.round
		t.rows[r.key] = r
		t.order = append(t.order, r)
		t.next = new(row)
		return t.element(comma(b, start), r)
	}
	old.round = t.round
	t.order = append(t.order, old)
	if bytes.Equal(old.text, r.text) && sameEnds(old.ends, r.ends) {
		return b
	}
	b = t.changes(comma(b, start), old, r)
	old.text, r.text = r.text, old.text
	old.ends, r.ends = r.ends, old.ends
	return b
}

// another returns a key for a row whose own key, a name, is taken in this round.
func (t *table) another(key []byte) []byte {
	text := strings.TrimSuffix(string(key), `"`)
	for i := 2; ; i++ {
		key = append(append(key[:0], text...), " ("...)
		key = append(strconv.AppendInt(key, int64(i), 10), `)"`...)
		if old := t.rows[string(key)]; old == nil || old.round != t.round {
			return key
		}
	}
}

// end ends a round: rows that were not in it are gone.
func (t *table) end() {
	t.gone = t.gone[:0]
	if len(t.rows) == len(t.order) {
		return
	}
	for key, r := range t.rows {
		if r.round != t.round {
			t.gone = append(comma(t.gone, 0), key...)
			delete(t.rows, key)
		}
	}
}

// element appends a row as an object.
func (t *table) element(b []byte, r *row) []byte {
	b = append(b, '{')
	start := len(b)
	for i := range t.plan.fields {
		if v := r.at(i); len(v) > 0 {
			b = append(comma(b, start), t.plan.fields[i].label...)
			b = append(b, v...)
		}
	}
	return append(b, '}')
}

// changes appends the key and the fields that differ, null for one that is left out now.
func (t *table) changes(b []byte, old, now *row) []byte {
	b = append(b, '{')
	b = append(b, t.plan.fields[0].label...)
	b = append(b, now.at(0)...)
	for i := 1; i < len(t.plan.fields); i++ {
		v := now.at(i)
		if bytes.Equal(v, old.at(i)) {
			continue
		}
		b = append(append(b, ','), t.plan.fields[i].label...)
		if len(v) == 0 {
			b = append(b, "null"...)
		} else {
			b = append(b, v...)
		}
	}
	return append(b, '}')
}

// whole appends all rows as the elements of a list.
func (t *table) whole(b []byte) []byte {
	start := len(b)
	for _, r := range t.order {
		b = t.element(comma(b, start), r)
	}
	return b
}

// comma appends a comma unless the list of elements that begins at start is empty.
func comma(b []byte, start int) []byte {
	if len(b) > start {
		b = append(b, ',')
	}
	return b
}

func sameEnds(a, b []int) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
