package delivery_test

import (
	"errors"
	"testing"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
)

func TestOptionsThatAreRefused(t *testing.T) {
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	good := delivery.Config[push]{Topic: topicOf, Event: "push"}
	for option, change := range map[string]func(c *delivery.Config[push]){
		"":                func(*delivery.Config[push]) {},
		"Topic":           func(c *delivery.Config[push]) { c.Topic = nil },
		"Event":           func(c *delivery.Config[push]) { c.Event = "" },
		"MaxDemand":       func(c *delivery.Config[push]) { c.MaxDemand = -1 },
		"MinDemand":       func(c *delivery.Config[push]) { c.MaxDemand, c.MinDemand = 5, 5 },
		"MaxWaiting":      func(c *delivery.Config[push]) { c.MaxWaiting = -1 },
		"Grace":           func(c *delivery.Config[push]) { c.Grace, c.DiscardAbsent = time.Second, true },
		"Timeout":         func(c *delivery.Config[push]) { c.Timeout = -1 },
		"Crowded":         func(c *delivery.Config[push]) { c.Crowded, c.DiscardAbsent = func(push) bool { return false }, true },
		"DrainGrace":      func(c *delivery.Config[push]) { c.DrainGrace = 1 },
		"WithdrawOnDrain": func(c *delivery.Config[push]) { c.WithdrawOnDrain, c.DiscardOnDrain = true, true },
	} {
		cfg := good
		change(&cfg)
		_, err := delivery.New(endpoint, cfg)
		var refused *delivery.OptionError
		switch {
		case option == "" && err != nil:
			t.Errorf("refused a good config: %v", err)
		case option != "" && (!errors.As(err, &refused) || refused.Option != option):
			t.Errorf("%s: %v", option, err)
		}
	}
	var refused *delivery.OptionError
	if _, err := delivery.New(nil, good); !errors.As(err, &refused) || refused.Option != "endpoint" {
		t.Errorf("endpoint: %v", err)
	}
}
