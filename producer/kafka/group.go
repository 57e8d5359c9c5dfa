package kafka

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/option"
)

// groupTimes are the group's times, which belong to the client's options.
type groupTimes struct {
	rebalance time.Duration // from a rebalance's start until a member that has not joined is removed
	heartbeat time.Duration // after which a member hears of a rebalance, at the latest
}

// peek is a hook that ends the making of a client before it has started anything.
type peek struct{ client *kgo.Client }

// OnNewClient implements kgo.HookNewClient. It panics: there is no other way to read the
// values of options without a running client.
func (p *peek) OnNewClient(client *kgo.Client) {
	p.client = client
	panic(p)
}

// timesOf returns the times that a client with these options has; ok is false if the client
// refuses the options.
func timesOf(opts []kgo.Opt) (t groupTimes, ok bool) {
	p := new(peek)
	defer func() {
		if v := recover(); v != nil && v != any(p) {
			panic(v)
		}
		if ok = p.client != nil; ok {
			t.rebalance, _ = p.client.OptValue(kgo.RebalanceTimeout).(time.Duration)
			t.heartbeat, _ = p.client.OptValue(kgo.HeartbeatInterval).(time.Duration)
		}
	}()
	// The hooks of the program come after this one, and so are not called.
	_, _ = kgo.NewClient(append([]kgo.Opt{kgo.WithHooks(p)}, opts...)...)
	return t, false
}

// checkGroup refuses a RevokeTimeout for which the group does not wait. A member that is
// told of a rebalance up to a heartbeat late, and then waits for its events and commits,
// would be removed from the group; its records would be delivered again each time.
func checkGroup(owner option.Owner, opts []kgo.Opt, revoke, commit time.Duration) error {
	t, ok := timesOf(opts)
	if !ok {
		return nil // the start says why
	}
	if most := t.rebalance - t.heartbeat - commit; revoke >= most {
		return owner.Refuse("RevokeTimeout", revoke, fmt.Sprintf(
			"less than %v: the group's RebalanceTimeout %v less its HeartbeatInterval %v and CommitTimeout %v",
			most, t.rebalance, t.heartbeat, commit))
	}
	return nil
}
