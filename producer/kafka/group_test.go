package kafka

import (
	"cmp"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/stage"
)

// countingHook counts the clients that are made.
type countingHook struct{ clients int }

func (h *countingHook) OnNewClient(*kgo.Client) { h.clients++ }

// A RevokeTimeout that the group does not wait for is refused: each rebalance would remove
// the member.
func TestRevokeTimeoutIsHeldAgainstTheGroup(t *testing.T) {
	hook := new(countingHook)
	for name, c := range map[string]struct {
		revoke, commit time.Duration
		opts           []kgo.Opt
		most           string // "" if accepted
		option         string // default: RevokeTimeout
	}{
		"defaults":           {},
		"just below":         {revoke: 50 * time.Second},
		"more than 60s":      {revoke: 50 * time.Second, commit: 7 * time.Second, most: "less than 50s"},
		"eager, 5s":          {opts: []kgo.Opt{kgo.Balancers(kgo.RangeBalancer()), kgo.RebalanceTimeout(5 * time.Second)}, most: "less than -1s"},
		"5s, quick":          {revoke: time.Second, commit: time.Second, opts: []kgo.Opt{kgo.RebalanceTimeout(5 * time.Second), kgo.HeartbeatInterval(time.Second)}},
		"5s, a second more":  {revoke: 3 * time.Second, commit: time.Second, opts: []kgo.Opt{kgo.RebalanceTimeout(5 * time.Second), kgo.HeartbeatInterval(time.Second)}, most: "less than 3s"},
		"none":               {revoke: stage.None, opts: []kgo.Opt{kgo.RebalanceTimeout(7 * time.Second)}},
		"hooks are not used": {opts: []kgo.Opt{kgo.WithHooks(hook)}},
		"refused by client":  {opts: []kgo.Opt{kgo.RebalanceTimeout(-1)}, option: "Options", most: "less than allowed 100ms"},
	} {
		_, err := NewProducer(Config[string]{
			Brokers: []string{"b:1"}, Topics: []string{topic}, Group: "g", Decode: decodeName,
			RevokeTimeout: c.revoke, CommitTimeout: c.commit, Options: c.opts,
		})
		got, refused := errors.AsType[*OptionError](err)
		if refused != (c.most != "") || refused && (got.Option != cmp.Or(c.option, "RevokeTimeout") || !strings.Contains(got.Error(), c.most)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if hook.clients != 0 {
		t.Errorf("a hook of the program was called for %d clients", hook.clients)
	}
}
