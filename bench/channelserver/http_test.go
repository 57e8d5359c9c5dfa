package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// call makes a request and returns the JSON of the response.
func (s *testServer) call(t *testing.T, method, path string) map[string]float64 {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http"+strings.TrimPrefix(s.url, "ws")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %q %v", path, resp.Status, data, err)
	}
	answer := map[string]float64{}
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatalf("%s: %q %v", path, data, err)
	}
	return answer
}

// TestLoadRequests makes each kind of load and counts what arrives.
func TestLoadRequests(t *testing.T) {
	s := startServer(t)
	defer http.DefaultClient.CloseIdleConnections()
	const users = 5
	for i := range users {
		c := s.connectAs(t, "/socket/websocket", strconv.Itoa(i))
		send(t, c, `["1","1","user:`+strconv.Itoa(i)+`","phx_join",{}]`)
		receive(t, c, `["1","1","user:`+strconv.Itoa(i)+`","phx_reply",{"response":{},"status":"ok"}]`)
	}
	for path, want := range map[string]float64{
		"/push?users=5&rounds=4&workers=3&bytes=10":                   20,
		"/push?users=5&rounds=2&rate=1000":                            10,
		"/pipeline?users=5&rounds=6&consumers=2&max_demand=4&bytes=1": 30,
		"/broadcast?topic=user:2&count=7":                             7,
	} {
		if got := s.call(t, "POST", path); got["receivers"] != want {
			t.Errorf("%s: %v, want %v receivers", path, got, want)
		}
	}
	stats := s.call(t, "GET", "/stats?gc=1")
	if stats["connections"] != users || stats["channels"] != users || stats["pid"] == 0 {
		t.Errorf("%v", stats)
	}
	if got := s.call(t, "POST", "/disconnect?user=3"); got["connections"] != 1 {
		t.Errorf("%v", got)
	}
}
