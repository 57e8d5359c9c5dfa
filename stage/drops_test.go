package stage

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
)

// receiving is a producer with receipts that has no events.
type receiving struct{}

func (receiving) HandleDemand(context.Context, int, *Emitter[int]) error { return ErrDone }
func (receiving) HandleReceipts(context.Context, []Receipt) error        { return nil }

// silent is a producer without receipts and without events.
type silent struct{}

func (silent) HandleDemand(context.Context, int, *Emitter[int]) error { return ErrDone }

// TestDroppingPolicyIsLogged: a stage that may discard events of a source with receipts says
// so once, at its start.
func TestDroppingPolicyIsLogged(t *testing.T) {
	key := func(v int) int { return v }
	fairly := func(cfg fair.Config[int]) dispatcher.Dispatcher[int] { return Must(fair.New(key, cfg)) }
	for name, test := range map[string]struct {
		handler Producer[int]
		cfg     ProducerConfig[int]
		want    string
	}{
		"default":             {receiving{}, ProducerConfig[int]{}, ""},
		"fair, default":       {receiving{}, ProducerConfig[int]{Dispatcher: fairly(fair.Config[int]{})}, ""},
		"fair, drops":         {receiving{}, ProducerConfig[int]{Dispatcher: fairly(fair.Config[int]{Overflow: fair.DropLongest})}, "Overflow: DropLongest"},
		"fair, drops of keys": {receiving{}, ProducerConfig[int]{Dispatcher: fairly(fair.Config[int]{KeyMaxEvents: 1, KeyOverflow: fair.DropOldest})}, "KeyOverflow: DropOldest"},
		"buffer":              {receiving{}, ProducerConfig[int]{Keep: KeepLast}, "Keep: KeepLast"},
		"no receipts":         {silent{}, ProducerConfig[int]{Keep: KeepLast}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			test.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			source := Must(NewProducer(test.handler, test.cfg))
			end := Must(NewConsumer(ConsumerFunc[int](func(context.Context, []int) error { return nil }), ConsumerConfig{}))
			if _, err := end.Subscribe(source, SubscribeConfig{}); err != nil {
				t.Fatal(err)
			}
			if err := Run(t.Context(), source, end); err != nil {
				t.Fatal(err)
			}
			n := strings.Count(log.String(), "may be discarded")
			if (n != 0) != (test.want != "") || n > 1 || !strings.Contains(log.String(), test.want) {
				t.Errorf("want %q, log:\n%s", test.want, log.String())
			}
		})
	}
}
