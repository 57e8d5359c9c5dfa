package dispatcher

import (
	"errors"
	"testing"

	"github.com/penstock-go/penstock/internal/option"
)

// TestIgnoredOptionsAreRefused: an option that a dispatcher would ignore ends the
// subscription instead, and takes nothing.
func TestIgnoredOptionsAreRefused(t *testing.T) {
	all := func(int) bool { return true }
	for _, tc := range []struct {
		name   string
		d      Dispatcher[int]
		option string
		opts   SubscribeConfig
		good   SubscribeConfig
	}{
		{"Demand", NewDemand[int](), "Partition", SubscribeConfig{Partition: 0}, SubscribeConfig{}},
		{"Demand", NewDemand[int](), "Selector", SubscribeConfig{Selector: all}, SubscribeConfig{}},
		{"Broadcast", NewBroadcast[int](), "Partition", SubscribeConfig{Partition: 0, Selector: all}, SubscribeConfig{Selector: all}},
		{"Partition", option.Must(NewPartition(1, one, PartitionConfig{})), "Selector", SubscribeConfig{Partition: 0, Selector: all}, on(0)},
	} {
		var refused *OptionError
		if err := tc.d.Subscribe(0, tc.opts); !errors.As(err, &refused) || refused.Option != tc.option {
			t.Errorf("%s with a %s: %v", tc.name, tc.option, err)
		}
		if err := tc.d.Subscribe(0, tc.good); err != nil {
			t.Errorf("%s afterwards: %v", tc.name, err)
		}
	}
}
