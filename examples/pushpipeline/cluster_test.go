package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/pubsub/nats/embedded"
)

// startPair starts two processes of a cluster whose servers are embedded.
func startPair(t *testing.T, args ...string) (a, b running) {
	a = start(t, append([]string{"-cluster", "embedded", "-cluster-listen", "127.0.0.1:0", "-node", "a"}, args...)...)
	b = start(t, append([]string{"-cluster", "embedded", "-join", a.cluster.server.ClusterAddr(), "-node", "b"}, args...)...)
	// Until then Settle does not wait for the other one's server.
	eventually(t, patience, "each knows the other", func() bool { return len(a.cluster.nodes()) == 1 && len(b.cluster.nodes()) == 1 })
	return a, b
}

// TestAPushReachesItsUserAtAnotherProcess, and its receipt comes back: the process that
// took it in counts it as delivered.
func TestAPushReachesItsUserAtAnotherProcess(t *testing.T) {
	a, b := startPair(t, "-grace", "5s")
	here, there := a.join("1"), b.join("2")
	b.endpoint.PubSub().Settle(t.Context(), "user:2")
	ctx := within(t, patience)
	const count = 50
	for n := range count {
		a.push("1", n)
		a.push("2", n)
	}
	for n := range count {
		for _, s := range []*subscriber{here, there} {
			if got, err := s.next(ctx); err != nil || got.Data.N != n {
				t.Fatalf("push %d: %+v, %v", n, got, err)
			}
		}
	}
	if s := a.status(t.Context()); s.Node != "a" || len(s.Nodes) != 1 || s.Nodes[0] != "b" {
		t.Errorf("the page shows %q and %q", s.Node, s.Nodes)
	}
	for _, s := range []*subscriber{here, there} {
		s.conn.CloseNow() // the end would wait for a client that does not read
	}
	if sum := a.stop(); sum.Delivered != 2*count {
		t.Errorf("%d of %d have a receipt: %+v", sum.Delivered, 2*count, sum)
	}
	if sum := b.stop(); sum.Delivered != 0 || sum.Enqueued != 0 {
		t.Errorf("the other process has taken pushes in: %+v", sum)
	}
}

// TestAUserWhoIsAtNoProcessIsKnownAtOnce.
func TestAUserWhoIsAtNoProcessIsKnownAtOnce(t *testing.T) {
	a, _ := startPair(t)
	discardedAtOnce(a)
}

// discardedAtOnce pushes to users who are nowhere: the replies of the other processes end that, not
// the time that they have. A busy machine may need another attempt.
func discardedAtOnce(a running) {
	a.t.Helper()
	for attempt := int64(1); ; attempt++ {
		before := a.endpoint.PubSub().Snapshot().Unanswered
		a.push(fmt.Sprint("nowhere", attempt), 1)
		eventually(a.t, patience, "discarded", func() bool { return a.status(a.t.Context()).Discarded["no_subscriber"] == attempt })
		if n := a.endpoint.PubSub().Snapshot().Unanswered - before; n == 0 {
			return
		} else if attempt == 10 {
			a.t.Fatalf("%d attempts have ended by time, and some of each push before", n)
		}
	}
}

// TestAProcessUsesAServerElsewhere.
func TestAProcessUsesAServerElsewhere(t *testing.T) {
	server, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	a, b := start(t, "-cluster", server.URL(), "-node", "a"), start(t, "-cluster", server.URL(), "-node", "b")
	there := b.join("2")
	b.endpoint.PubSub().Settle(t.Context(), "user:2")
	a.push("2", 7)
	if got, err := there.next(within(t, patience)); err != nil || got.Data.N != 7 {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestClusterOptionsAreChecked(t *testing.T) {
	for _, c := range []struct{ args, complaint string }{
		{"-cluster redis", "-cluster"},
		{"-cluster redis://127.0.0.1:no", "-cluster"},
		{"-cluster redis://u:secret/x@host:1", "not the URL of a Redis"},
		{"-cluster nats://u:secret/x@host:1", "not the URL of a NATS"},
		{"-cluster http://u:secret@host:1", "-cluster is neither"},
		{"-otlp ftp://u:secret@host:1", "-otlp"},
		{"-otlp http://u:secret/x@host:1", "-otlp"},
		{"-otlp http://u:secret@host:1/v1/traces", "OTEL_EXPORTER_OTLP_HEADERS"},
		{"-otlp-metrics https://u:secret@host:1/v1/metrics", "OTEL_EXPORTER_OTLP_HEADERS"},
		{"-otlp-metrics https://host:1/v1/metrics?key=:secret", "OTEL_EXPORTER_OTLP_HEADERS"},
		{"-cluster redis://127.0.0.1:6379 -join 127.0.0.1:1", "needs -cluster embedded"},
		{"-join 127.0.0.1:1", "needs -cluster embedded"},
		{"-cluster nats://127.0.0.1:4222 -join 127.0.0.1:1", "needs -cluster embedded"},
		{"-cluster embedded -join nowhere", "-join"},
		{"-cluster embedded -cluster-listen 0.0.0.0:6222", "needs -cluster-secret-file"},
		{"-node a", "-node needs -cluster"},
		{"-cluster embedded -fairness", "-fairness"},
	} {
		_, out, err := parse(t, nil, strings.Fields(c.args)...)
		if err == nil || !strings.Contains(out, c.complaint) {
			t.Errorf("%s: %v, %q", c.args, err, out)
		}
		if strings.Contains(out, ":secret") || err != nil && strings.Contains(err.Error(), ":secret") {
			t.Errorf("%s: the password is shown: %q", c.args, out)
		}
	}
}

// TestTheCommandsOfTheDocumentsFormACluster starts the two processes of the front page, on
// ports that are free, and pushes at the first one to a user of the second one.
// docs/cluster.md has the same commands.
func TestTheCommandsOfTheDocumentsFormACluster(t *testing.T) {
	commands := func(file string) (all [][]string) {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if args, ok := strings.CutPrefix(line, "go run ./examples/pushpipeline "); ok && strings.Contains(args, "-cluster embedded") {
				all = append(all, strings.Fields(args))
			}
		}
		return all
	}
	two := commands("README.md")
	if other := commands("docs/cluster.md"); len(two) != 2 || !slices.EqualFunc(two, other, slices.Equal) {
		t.Fatalf("the front page has %q, docs/cluster.md %q", two, other)
	}
	first, _, err := parse(t, nil, two[0]...)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := parse(t, nil, two[1]...)
	if err != nil {
		t.Fatal(err)
	}
	if second.Join != defaultClusterListen || first.ClusterListen != "" || first.Addr == second.Addr || first.DebugAddr == second.DebugAddr {
		t.Errorf("%q and %q cannot run on one machine", two[0], two[1])
	}
	a := start(t, append(two[0], "-cluster-listen", "127.0.0.1:0", "-addr", "127.0.0.1:0", "-debug-addr", "off")...)
	b := start(t, append(two[1], "-join", a.cluster.server.ClusterAddr(), "-addr", "127.0.0.1:0")...)
	eventually(t, patience, "each knows the other", func() bool { return len(a.cluster.nodes()) == 1 && len(b.cluster.nodes()) == 1 })
	there := b.join("42")
	b.endpoint.PubSub().Settle(t.Context(), "user:42")
	a.push("42", 7)
	if got, err := there.next(within(t, patience)); err != nil || got.Data.N != 7 {
		t.Fatalf("%+v, %v", got, err)
	}
}
