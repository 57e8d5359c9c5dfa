package main

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
)

// TestNoBroker: a program that does not reach its broker ends with an error.
func TestNoBroker(t *testing.T) {
	var complaint bytes.Buffer
	cfg, err := parseConfig([]string{"-addr", "127.0.0.1:0", "-debug-addr", "off", "-brokers", "127.0.0.1:1"},
		func(string) string { return "" }, &complaint, &complaint)
	if err != nil {
		t.Fatalf("%v: %s", err, complaint.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newApp(ctx, cfg, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error")
	}
}
