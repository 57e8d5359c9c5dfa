package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestDashboard: the page and the state are on the debug address alone.
func TestDashboard(t *testing.T) {
	r := start(t, "-debug-addr", "127.0.0.1:0")
	get := func(url string) (int, string) {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	debug := "http://" + r.debugListener.Addr().String()
	if status, body := get(debug + "/dashboard/"); status != http.StatusOK || !strings.Contains(body, "<html") {
		t.Error(status, body)
	}
	status, body := get(debug + "/dashboard/state")
	for _, want := range []string{`"title":"pushpipeline"`, `"control":false`, `"kind":"stages","name":"pushes"`, `"name":"memory"`, `"kind":"sockets"`, `"connections":`} {
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d: no %s in %s", status, want, body)
		}
	}
	if status, _ := get(r.url("/dashboard/")); status != http.StatusNotFound {
		t.Errorf("on the public address: %d", status)
	}
}
