package statsd

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// TestSecurity holds the part of a row of docs/security.md that is about this
// package: names and tags cannot break out of their line.
func TestSecurity(t *testing.T) { t.Run("S08_metric_names", metricNames) }

func metricNames(t *testing.T) {
	breakers := []string{
		"a:1|c\nb", "|#tag", "x\n2026-01-01 ERROR admin logged in", "x:1|c|@0.1", "x|#a:b,c:d", "x;a=b", "x,a=b", "\x00", "\x1b[31m", "\u202e", "a\r\nb:1|c", "", " ",
		`","level":"ERROR`, strings.Repeat("x", 1000), "\xff\xfe",
	}
	line := regexp.MustCompile(`^[^:|@#,;=\s\pC]+:[0-9.]+\|(c|g|ms)(\|@[0-9.]+)?(\|#[^:|@#,;=\s\pC]+:[^:|@#,;=\s\pC]+)?$`)
	w := record(t, Config{}, func(s *Recorder) {
		for _, b := range breakers {
			s.Counter(b, metrics.Tag{Key: b, Value: b}).Add(1)
			s.Gauge(b, metrics.Tag{Key: b, Value: b}).Set(1)
			s.Timer(b, metrics.Tag{Key: b, Value: b}).Observe(time.Second)
		}
	})
	lines := w.lines()
	for _, l := range lines {
		if l != "" && !line.MatchString(l) {
			t.Errorf("%q", l)
		}
	}
	if len(lines) < 2*len(breakers) {
		t.Errorf("%d lines", len(lines))
	}
}
