package main

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

var volatile = regexp.MustCompile(`"(phx_ref|phx_ref_prev|online_at)":("[^"]{16}"|[0-9]+)`)

// next reads a message and replaces what differs in every run.
func next(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, data, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(data) {
		t.Fatalf("no JSON: %s", data)
	}
	return volatile.ReplaceAllString(string(data), `"$1":_`)
}

// TestRecordedPresence goes through what was recorded with two users, one of
// whom comes a second time. The order of a diff against the reply or state that
// the same step causes is free: in the recording it varies.
func TestRecordedPresence(t *testing.T) {
	s := startServer(t)
	expect := func(c *websocket.Conn, want ...string) {
		t.Helper()
		var got []string
		for range want {
			got = append(got, next(t, c))
		}
		for _, w := range want {
			found := false
			for _, g := range got {
				found = found || g == w
			}
			if !found {
				t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	const a, b, d = `{"phx_ref":_,"dev":"a","online_at":_}`, `{"phx_ref":_,"dev":"b","online_at":_}`, `{"phx_ref":_,"dev":"d","online_at":_}`
	const updated = `{"phx_ref":_,"phx_ref_prev":_,"dev":"c"}`
	diff := func(joins, leaves string) string {
		return `[null,null,"presence:p","presence_diff",{"joins":{` + joins + `},"leaves":{` + leaves + `}}]`
	}
	one := s.connectAs(t, "/socket/websocket", "1")
	send(t, one, `["1","1","presence:p","phx_join",{"dev":"a"}]`)
	receive(t, one, `["1","1","presence:p","phx_reply",{"response":{},"status":"ok"}]`)
	expect(one, diff(`"1":{"metas":[`+a+`]}`, ``), `["1",null,"presence:p","presence_state",{"1":{"metas":[`+a+`]}}]`)

	two := s.connectAs(t, "/socket/websocket", "2")
	send(t, two, `["1","1","presence:p","phx_join",{"dev":"b"}]`)
	receive(t, two, `["1","1","presence:p","phx_reply",{"response":{},"status":"ok"}]`)
	expect(one, diff(`"2":{"metas":[`+b+`]}`, ``))
	expect(two, diff(`"2":{"metas":[`+b+`]}`, ``), `["1",null,"presence:p","presence_state",{"1":{"metas":[`+a+`]},"2":{"metas":[`+b+`]}}]`)

	send(t, one, `["1","2","presence:p","update",{"dev":"c"}]`)
	change := diff(`"1":{"metas":[`+updated+`]}`, `"1":{"metas":[`+a+`]}`)
	expect(one, `["1","2","presence:p","phx_reply",{"response":{},"status":"ok"}]`, change)
	expect(two, change)

	again := s.connectAs(t, "/socket/websocket", "1")
	send(t, again, `["9","9","presence:p","phx_join",{"dev":"d"}]`)
	receive(t, again, `["9","9","presence:p","phx_reply",{"response":{},"status":"ok"}]`)
	expect(again, diff(`"1":{"metas":[`+d+`]}`, ``),
		`["9",null,"presence:p","presence_state",{"1":{"metas":[`+updated+`,`+d+`]},"2":{"metas":[`+b+`]}}]`)
	expect(one, diff(`"1":{"metas":[`+d+`]}`, ``))
	expect(two, diff(`"1":{"metas":[`+d+`]}`, ``))
	_ = two.CloseNow()
	expect(one, diff(``, `"2":{"metas":[`+b+`]}`))
	expect(again, diff(``, `"2":{"metas":[`+b+`]}`))
}
