package main

import (
	"context"
	"log/slog"
	"testing"
)

// TestEndBeforeTheBrokerResponds: a program that never reaches its broker starts, is not
// ready, and ends in order.
func TestEndBeforeTheBrokerResponds(t *testing.T) {
	cfg, out, err := parse(t, nil, "-addr", "127.0.0.1:0", "-debug-addr", "off", "-brokers", "127.0.0.1:1")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	a, err := newApp(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if a.notReady() == nil {
		t.Error("it is ready without a broker")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if sum, err := a.run(ctx, context.Background(), func(status) {}); err != nil || !sum.balanced() {
		t.Errorf("%+v %v", sum, err)
	}
}
