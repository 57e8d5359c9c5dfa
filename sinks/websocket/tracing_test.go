package websocket_test

import (
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/trace"
	"github.com/penstock-go/penstock/trace/tracetest"
)

// TestSpansOfABroadcast: a broadcast of a sampled trace has one span on each node, whatever
// the number of its receivers, which ends when all of them have it. No other has one.
func TestSpansOfABroadcast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer := new(tracetest.Tracer)
		_, n := twoNodes(t, setup{channels: map[string]*app{"room:*": {}}, endpoint: websocket.EndpointConfig{Tracer: tracer}}, &app{})
		peers := []*peer{n[0].connect("1"), n[0].connect("2"), n[1].connect("3"), n[1].connect("4"), n[1].connect("5")}
		for i, p := range peers {
			p.join(i+1, "room:x")
		}
		synctest.Wait()
		ctx := t.Context()
		unsampled := tracetest.Sampled(1)
		unsampled.Flags = 0
		parent := tracetest.Sampled(2)
		for _, c := range []trace.Context{{}, unsampled, parent} {
			if taken, err := n[0].endpoint.Broadcast(trace.NewContext(ctx, c), "room:x", "e", map[string]int{"n": 1}); taken != 2 || err != nil {
				t.Fatal(taken, err)
			}
		}
		for _, p := range peers {
			for range 3 {
				p.expect(`[null,null,"room:x","e",{"n":1}]`)
			}
		}
		synctest.Wait()
		spans := tracer.Spans()
		if len(spans) != 2 || len(tracer.Open()) > 0 {
			t.Fatalf("%+v", spans)
		}
		frames := make(map[any]any)
		for _, s := range spans {
			if s.Name != "websocket broadcast" || s.Parent.SpanID != parent.SpanID || s.Parent.TraceID != parent.TraceID || s.Err != nil || s.Attrs[trace.AttrMissed] != int64(0) {
				t.Errorf("%+v", s)
			}
			frames[s.Attrs[trace.AttrNode]] = s.Attrs[trace.AttrFrames]
		}
		if frames["a"] != int64(2) || frames["b"] != int64(3) {
			t.Errorf("%v", frames)
		}
	})
}
