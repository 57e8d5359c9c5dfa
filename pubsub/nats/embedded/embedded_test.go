package embedded_test

import (
	"errors"
	"log/slog"
	"net"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/pubsub/nats/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var silent = slog.New(slog.DiscardHandler)

func TestAServerListensOnlyWhereItIsTold(t *testing.T) {
	s, err := embedded.Start(embedded.Config{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.URL() != "" || s.ClusterAddr() != "" || s.Routes() != 0 {
		t.Errorf("clients %q, routes %q", s.URL(), s.ClusterAddr())
	}
	c, err := natsgo.Connect("", s.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestABusyAddressIsAnError(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, cfg := range []embedded.Config{{Listen: busy.Addr().String()}, {ClusterListen: busy.Addr().String()}} {
		cfg.Logger = silent
		if s, err := embedded.Start(cfg); err == nil {
			s.Close()
			t.Errorf("%+v: no error", cfg)
		}
	}
}

func TestAServerWithAnotherSecretDoesNotJoin(t *testing.T) {
	first, err := embedded.Start(embedded.Config{ClusterListen: "127.0.0.1:0", Secret: "one", Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := embedded.Start(embedded.Config{Join: []string{first.ClusterAddr()}, Secret: "two", JoinTimeout: 300e6, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if first.Routes() != 0 || second.Routes() != 0 {
		t.Error("they have joined")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for option, cfg := range map[string]embedded.Config{
		"Listen": {Listen: "127.0.0.1"}, "ClusterListen": {ClusterListen: "a:b"}, "Join": {Join: []string{""}}, "JoinTimeout": {JoinTimeout: -1},
	} {
		var bad *embedded.OptionError
		if _, err := embedded.Start(cfg); !errors.As(err, &bad) || bad.Option != option {
			t.Errorf("%s: %v", option, err)
		}
	}
}

// TestTheListenerOfAClusterIsForThisProcessOnly unless the program asks for one.
func TestTheListenerOfAClusterIsForThisProcessOnly(t *testing.T) {
	s, err := embedded.Start(embedded.Config{ClusterListen: "127.0.0.1:0", Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.URL() != "" {
		t.Errorf("URL %q", s.URL())
	}
	if c, err := natsgo.Connect("nats://" + s.Server.Addr().String()); err == nil {
		c.Close()
		t.Error("a client without the password is let in")
	}
	c, err := natsgo.Connect("", s.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
