package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestOverview: the dashboard and the metrics need the admin's password.
func TestOverview(t *testing.T) {
	a := start(t)
	get := func(path, password string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.address()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			req.SetBasicAuth(adminName, password)
		}
		resp, err := http.DefaultClient.Do(req)
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
	if status, body := get("/admin/dashboard/state", ""); status != http.StatusUnauthorized || strings.Contains(body, "parts") {
		t.Error(status, body)
	}
	status, body := get("/admin/dashboard/state", a.cfg.AdminPassword)
	for _, want := range []string{`"control":false`, `"kind":"stages","name":"alerts"`, `"kind":"sockets"`, `"kind":"topics"`, `"kind":"presence"`} {
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d: no %s in %s", status, want, body)
		}
	}
	if status, body := get("/metrics", ""); status != http.StatusUnauthorized || strings.Contains(body, "penstock") {
		t.Error(status, body)
	}
	status, body = get("/metrics", a.cfg.AdminPassword)
	for _, want := range []string{"\npenstock_websocket_connections ", "\ngo_goroutines ", "\n# TYPE penstock_sneakers_admin_wrong_passwords_total counter\n"} {
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d: no %q in %s", status, want, body)
		}
	}
}
