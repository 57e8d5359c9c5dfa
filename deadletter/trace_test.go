package deadletter_test

import (
	"encoding/json"
	"testing"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/trace"
)

// carrier is an event that carries a trace context.
type carrier struct{ Trace trace.Context }

func (c carrier) TraceContext() trace.Context { return c.Trace }

// TestLetterKeepsTheTrace: also through JSON, as files of letters have it.
func TestLetterKeepsTheTrace(t *testing.T) {
	c, _ := trace.Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	text, err := json.Marshal(deadletter.Of(carrier{c}, nil))
	var back deadletter.Letter
	if err == nil {
		err = json.Unmarshal(text, &back)
	}
	if err != nil || back.Trace != c {
		t.Errorf("%s: %v %v", text, back.Trace, err)
	}
}
