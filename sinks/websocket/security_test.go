package websocket_test

import (
	"os"
	"runtime"
	"testing"
)

// TestSecurity holds the rows of docs/security.md that are about this package:
// each tries the inputs that its row names.
func TestSecurity(t *testing.T) {
	for _, row := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"S01_origin", securityOrigin},
		{"S02_token_in_url", securityTokenInURL},
		{"S03_before_authentication", securityBeforeAuthentication},
		{"S05_expiry", securityExpiry},
		{"S06_authorisation", securityAuthorisation},
		{"S07_topic_grammar", securityTopicGrammar},
		{"S08_logs", securityLogs},
		{"S09_frames", securityFrames},
		{"S10_fragments", securityFragments},
		{"S11_compression", securityCompression},
		{"S12_json", securityJSON},
		{"S13_handshake", securityHandshake},
		{"S14_connections", securityConnections},
		{"S15_rates", securityRates},
		{"S16_topics", securityTopics},
		{"S17_slow_readers", securitySlowReaders},
		{"S18_output", securityOutput},
		{"S19_tls", securityTLS},
		{"S20_panics", securityPanics},
	} {
		t.Run(row.name, row.run)
	}
}

// long reports whether rows may take minutes, in order to try their inputs in full
// length where the default is a part of it.
func long() bool { return os.Getenv("PENSTOCK_LONG") != "" }

// resident is what the process holds on its stacks and its heap.
func resident() (stack, heap int64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.StackInuse), int64(m.HeapAlloc)
}

// allocatedBy is how many bytes all goroutines allocate while f runs.
func allocatedBy(f func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}
