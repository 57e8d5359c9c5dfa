package main

import (
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"testing"

	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/penstock-go/penstock/examples/internal/otlp/otlptest"
)

// TestACollectorGetsAlertsAndFigures: an alert is one trace from the queue to the shopper's
// socket, and its latency a figure that has the trace as an exemplar.
func TestACollectorGetsAlertsAndFigures(t *testing.T) {
	t.Parallel()
	c := otlptest.New(t)
	a, stop := startNode(t, append(append(c.Traces(), c.Metrics()...), "-stock", "6")...)
	v, buyer := enter(t, a), enter(t, a)
	shoe := item(a, 0, 0)
	v.cart = signed(t, a, v.cartID, shoe)
	v.tab(cartTopic(v.cartID))
	v.next("cart", nil)
	buyer.buys(shoe, "k")
	v.next("push_timed", nil)
	stop() // what is left is sent at the end

	var root string
	var names []string
	for _, s := range c.Spans() {
		if s.Name == "alert" {
			root = hex.EncodeToString(s.TraceId)
		}
	}
	for _, s := range c.Trace(root) {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	if want := []string{"alert", "deliver sockets", "dispatch alerts", "handle sockets", "websocket write"}; !slices.Equal(names, want) {
		t.Errorf("spans %q, want %q", names, want)
	}
	if name := c.Service(); name != "sneakers" {
		t.Errorf("the service is %q", name)
	}
	m := c.Figures()["penstock.pipeline.push_delivered"]
	h := m.GetHistogram()
	if h == nil || m.Unit != "s" || h.AggregationTemporality != otlp.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA {
		t.Fatalf("%v", m)
	}
	if p := h.DataPoints[0]; p.GetCount() != 1 || len(p.Exemplars) != 1 || hex.EncodeToString(p.Exemplars[0].TraceId) != root {
		t.Errorf("%v, and the trace is %s", p, root)
	}
}

// TestCollectorsAreChecked: a wrong option ends the program, and is named without its value.
func TestCollectorsAreChecked(t *testing.T) {
	for option, want := range map[string]string{
		"-otlp=ftp://u:secret@host": "-otlp is not a URL", "-otlp-metrics=http://u:secret@host/v1/metrics": "-otlp-metrics must have no user",
		"-trace-sample=2": "-trace-sample 2 is not allowed",
	} {
		var text strings.Builder
		if _, err := parseConfig([]string{option}, io.Discard, &text); err == nil || !strings.Contains(text.String(), want) || strings.Contains(text.String(), "secret") {
			t.Errorf("%s: %v, %s", option, err, &text)
		}
	}
}
