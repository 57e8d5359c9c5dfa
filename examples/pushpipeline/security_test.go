package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/metrics/metricstest"
)

// TestSecurity holds the rows of docs/security.md that are about this program.
func TestSecurity(t *testing.T) {
	t.Run("S01_foreign_hosts", foreignHosts)
	t.Run("S01_foreign_pages", foreignPages)
	t.Run("S05_tokens_end", tokensEnd)
	t.Run("S08_secrets", secretsStayInside)
	t.Run("S13_methods", methodsOfThePage)
	t.Run("S14_connections", connectionsAreBounded)
	t.Run("S19_tls", transportSecurity)
	t.Run("S21_demo", demoEndpoints)
	t.Run("S21_debug_pages", debugPages)
	t.Run("S22_user_ids", recordsOfStrangers)
}

// debugPages: what is for operators is not on the public port, by no way.
func debugPages(t *testing.T) {
	r := start(t, "-debug-addr", "127.0.0.1:0")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	for _, path := range []string{
		"/debug/pprof", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=1", "/debug/vars", "/debug/stages", "/debug/", "/metrics",
		"//debug/pprof/", "/./debug/pprof/", "/socket/../debug/pprof/", "/%64ebug/pprof/", "/debug%2fpprof/", "/socket/websocket/../../debug/vars",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodHead} {
			for at := path; at != ""; { // through redirects to cleaner paths
				req, err := http.NewRequestWithContext(t.Context(), method, r.url(at), nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-Forwarded-For", "127.0.0.1")
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				at = resp.Header.Get("Location")
				at = strings.TrimPrefix(at, r.url(""))
				if at == "" && resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed || strings.Contains(string(body), "goroutine") {
					t.Errorf("%s %s: %d %.100s", method, path, resp.StatusCode, body)
				}
			}
		}
	}
	for _, addr := range []string{"0.0.0.0:6060", ":6060", "192.0.2.1:6060", "[::]:6060"} {
		var out strings.Builder
		if _, err := parseConfig([]string{"-debug-addr", addr}, nil, &out, &out); err == nil {
			t.Errorf("the debug pages may be on %s", addr)
		}
	}
}

// recordsOfStrangers: what others write into the topic is checked as what is
// posted is, and its times are not believed.
func recordsOfStrangers(t *testing.T) {
	seen := metricstest.New()
	k := &kafkaSource{seq: newSequencer("here"), places: newPlaces(100, 1<<20), ledger: newLedger(seen, ""), skewed: seen.Counter("pipeline.clock_skew")}
	for _, id := range []string{
		"", "user:1", "user:*", "1,2", "1 2", "1\n2", "1\\u0000", "../1", "a/b", "é", "\u202e1", "<b>", "1|c", "|#tag", "%00", "{{1}}", "'; DROP TABLE users", strings.Repeat("1", 65), strings.Repeat("1", 10<<10),
	} {
		value := fmt.Sprintf(`{"user_id":%q,"data":{}}`, id)
		if _, err := k.decode(&kgo.Record{Value: []byte(value), Timestamp: time.Now()}); err == nil {
			t.Errorf("%.80q is taken for a user", id)
		}
	}
	for _, value := range []string{"", "null", "[]", `{"user_id":"1"}`, `{"user_id":1,"data":{}}`, `{"user_id":"1","data":[]}`, `{"user_id":"1","data":{}}{}`, strings.Repeat("[", 100_000), "\xff", `{"user_id":"1","data":{"x":"` + strings.Repeat("x", maxData) + `"}}`} {
		if _, err := k.decode(&kgo.Record{Value: []byte(value), Timestamp: time.Now()}); err == nil {
			t.Errorf("%.80q is taken for a push", value)
		}
	}
	// One line a second, however many there are, and each is counted.
	var logs bytes.Buffer
	k.log = slog.New(slog.NewTextHandler(&logs, nil))
	for range 10_000 {
		k.refuseRecord(&kgo.Record{}, errFull)
	}
	if lines := strings.Count(logs.String(), "\n"); lines > 3 || k.poison.Load() != 10_000 || k.ledger.discards()["poison"] != 10_000 {
		t.Errorf("%d lines for %d records", lines, k.poison.Load())
	}
	good := []byte(`{"user_id":"1","data":{}}`)
	header := func(key, value string) []kgo.RecordHeader {
		return []kgo.RecordHeader{{Key: key, Value: []byte(value)}}
	}
	many := make([]kgo.RecordHeader, 10_000)
	for name, r := range map[string]*kgo.Record{
		"1970":                     {Timestamp: time.UnixMilli(0)},
		"before":                   {Timestamp: time.UnixMilli(-1 << 40)},
		"2100":                     {Timestamp: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)},
		"none":                     {},
		"1970 in the header":       {Timestamp: time.Now(), Headers: header(headerAt, "1")},
		"2100 in the header":       {Timestamp: time.Now(), Headers: header(headerAt, "4102444800000000000")},
		"beyond int64":             {Timestamp: time.Now(), Headers: header(headerAt, "99999999999999999999")},
		"no number":                {Timestamp: time.Now(), Headers: header(headerAt, "now")},
		"long origin":              {Timestamp: time.Now(), Headers: append(header(headerOrigin, strings.Repeat("x", 10<<10)), header(headerSeq, "1")...)},
		"sequence without origin":  {Timestamp: time.Now(), Headers: header(headerSeq, "18446744073709551615")},
		"10,000 headers, nil keys": {Timestamp: time.Now(), Headers: many},
		"key of 1 MiB":             {Timestamp: time.Now(), Key: make([]byte, 1<<20)},
	} {
		r.Value = good
		p, err := k.decode(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if age := time.Since(p.At); age < 0 || age > time.Minute {
			t.Errorf("%s: the push is %v old", name, age)
		}
		if len(p.Origin) > maxUserID {
			t.Errorf("%s: origin of %d bytes", name, len(p.Origin))
		}
	}
	if n := seen.Count("pipeline.clock_skew"); n != 7 {
		t.Errorf("%v clocks were counted as wrong, want 7", n)
	}
}
