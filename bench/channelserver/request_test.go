package main

import (
	"net/http/httptest"
	"testing"
)

// TestForeignPagesAreRefused pins that no page of another site can put load on the
// server, and that no request can ask for more than it can do.
func TestForeignPagesAreRefused(t *testing.T) {
	s := startServer(t)
	for _, row := range []struct {
		method, path, header, value string
		want                        int
	}{
		{"POST", "/broadcast?topic=room:a", "Origin", "https://evil.example", 403},
		{"POST", "/broadcast?topic=room:a", "Origin", "null", 403},
		{"POST", "/broadcast?topic=room:a", "Origin", "http://localhost:3000", 200},
		{"POST", "/push", "Sec-Fetch-Site", "cross-site", 403},
		{"POST", "/pipeline", "Origin", "https://localhost.evil.example", 403},
		{"POST", "/disconnect?user=1", "Origin", "https://evil.example", 403},
		{"GET", "/tokens", "Sec-Fetch-Site", "cross-site", 403},
		{"GET", "/stats", "Sec-Fetch-Site", "none", 200},
		{"POST", "/broadcast?topic=room:a&bytes=2000000000", "", "", 400},
		{"POST", "/broadcast?topic=room:a&bytes=-1", "", "", 400},
		{"POST", "/broadcast?topic=room:a&bytes=many", "", "", 400},
		{"POST", "/broadcast?topic=room:a&bytes=1&bytes=2000000000", "", "", 400},
		{"POST", "/push?bytes=2000000000", "", "", 400},
		{"POST", "/push?workers=1000000", "", "", 400},
		{"POST", "/pipeline?bytes=2000000000", "", "", 400},
		{"POST", "/pipeline?consumers=1000000", "", "", 400},
		{"GET", "/tokens?count=2000000000", "", "", 400},
		{"GET", "/heap", "", "", 400}, // without -heap-sites
	} {
		r := httptest.NewRequest(row.method, row.path, nil)
		if row.header != "" {
			r.Header.Set(row.header, row.value)
		}
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		if w.Code != row.want {
			t.Errorf("%s %s, %s %s: %d %q, want %d", row.method, row.path, row.header, row.value, w.Code, w.Body, row.want)
		}
	}
}
