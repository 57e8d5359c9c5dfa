package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// FuzzItemID: what a client sends as an item never becomes an id that is not positive, nor
// fails otherwise than with the errors that clients get by name.
func FuzzItemID(f *testing.F) {
	for _, text := range []string{`{"item_id":1}`, `{"item_id":"7"}`, `{"item_id":-1}`, `{"item_id":1e30}`, `{"item_id":[1]}`, `{"item_id":null}`, `{}`, `[]`, `"`, `{"item_id":"\u0031"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := itemID(websocket.Payload{Data: data})
		if (err == nil) != (id > 0) || err != nil && !slices.Contains([]error{errNotFound, errBadRequest, errQuantity}, err) {
			t.Errorf("%q: %d, %v", data, id, err)
		}
	})
}

// FuzzJoin: a page name that the admin sees is short and a path, whatever a client sends.
func FuzzJoin(f *testing.F) {
	for _, text := range []string{`{"serialized":"","page":"/"}`, `{"page":"//x"}`, `{"page":7}`, `{"serialized":{}}`, `null`, ``} {
		f.Add([]byte(text))
	}
	s := fuzzSigner(f)
	id := newCartID()
	f.Fuzz(func(t *testing.T, data []byte) {
		params, err := joinParams(websocket.Payload{Data: data})
		if err != nil {
			return
		}
		if page := pageName(params.Page); page != "other" && (!strings.HasPrefix(page, "/") || len(page) > maxPage) {
			t.Errorf("%q: page %q", data, page)
		}
		if c, err := s.readCart(id, params.Serialized); params.Serialized != "" && err == nil {
			t.Errorf("%q: a cart of %v", data, c.items)
		}
	})
}

// FuzzCartToken: only what was signed for this session is a cart.
func FuzzCartToken(f *testing.F) {
	s := fuzzSigner(f)
	// The same in each process of a run with -fuzz, whose seeds come from another one.
	id, items := strings.Repeat("A", cartIDLength), []int64{3, 1, 2}
	own, err := s.signCart(id, cart{items})
	if err != nil {
		f.Fatal(err)
	}
	other, err := s.signCart(strings.Repeat("B", cartIDLength), cart{[]int64{9}})
	if err != nil {
		f.Fatal(err)
	}
	session, err := s.text(saltSession, id, cartAge)
	if err != nil {
		f.Fatal(err)
	}
	for _, tok := range []string{own, other, session, own[:len(own)-1], own + "=", "..", strings.Replace(own, ".", "", 1)} {
		f.Add(tok)
	}
	f.Fuzz(func(t *testing.T, tok string) {
		c, err := s.readCart(id, tok)
		if (tok == own || tok == "") && err != nil {
			t.Errorf("%q: %v", tok, err)
		}
		if err == nil && tok != "" && !slices.Equal(c.items, items) || err != nil && len(c.items) > 0 {
			t.Errorf("%q is a cart: %v, %v", tok, c.items, err)
		}
		if got, err := s.session(tok); err == nil && got != id {
			t.Errorf("%q is the session %s", tok, got)
		}
	})
}

func fuzzSigner(f *testing.F) signer {
	f.Helper()
	s, err := newSigner(strings.Repeat("s", 30))
	if err != nil {
		f.Fatal(err)
	}
	return s
}
