package presence_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
)

// diffs gathers what is broadcast.
type diffs struct {
	of   *presence.Tracker // take settles it, unless it is nil
	mu   sync.Mutex
	list []string // event and payload in turn
}

func (d *diffs) Deliver(m *pubsub.Message) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, m.Event, string(m.Payload.Data))
	return true
}

func (d *diffs) take() string {
	if d.of != nil {
		_ = d.of.Settle(context.Background()) // it has no end
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var parts []string
	for i := 0; i < len(d.list); i += 2 {
		parts = append(parts, d.list[i]+short(json.RawMessage(d.list[i+1])))
	}
	d.list = nil
	return strings.Join(parts, " ")
}

// short is the JSON of v without the refs, which are random.
func short(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	text := string(data)
	for _, name := range []string{`"phx_ref":"`, `"phx_ref_prev":"`} {
		for {
			i := strings.Index(text, name)
			if i < 0 {
				break
			}
			end := i + len(name) + 16 + 1
			if end < len(text) && text[end] == ',' {
				end++
			}
			text = text[:i] + text[end:]
		}
	}
	return strings.ReplaceAll(strings.ReplaceAll(text, `"`, ""), "metas:", "")
}

func newTracker(t *testing.T, c presence.Config) *presence.Tracker {
	t.Helper()
	if c.Hub == nil {
		var err error
		if c.Hub, err = pubsub.New(pubsub.Config{}); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := presence.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func owner(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

func track(t *testing.T, tr *presence.Tracker, ctx context.Context, topic, key string, m any) string {
	t.Helper()
	ref, err := tr.Track(ctx, topic, key, m)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func is(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
