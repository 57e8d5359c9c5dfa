//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/penstock-go/penstock/pubsub/nats/embedded"
	"github.com/penstock-go/penstock/pubsub/pubsubtest/cutproxy"
)

// backplane is what joins the nodes: a server in a process of its own, with a proxy for
// each node, or the servers inside the nodes.
type backplane struct {
	kind    string // embedded, nats or redis
	address string // of the server
	dir     string
	server  *process          // nil if it is embedded
	proxies []*cutproxy.Proxy // by node
	joins   []string          // by node: where its embedded server listens for others
}

// openBackplane starts the server and the proxies.
func openBackplane(kind string, nodes int, dir string) (*backplane, error) {
	b := &backplane{kind: kind, dir: dir}
	if kind == "embedded" {
		for range nodes {
			at, err := freePort()
			if err != nil {
				return nil, err
			}
			b.joins = append(b.joins, at)
		}
		return b, nil
	}
	var err error
	if b.address, err = freePort(); err != nil {
		return nil, err
	}
	if err = b.start(); err != nil {
		return nil, err
	}
	for range nodes {
		p, err := cutproxy.Start(b.address)
		if err != nil {
			b.close()
			return nil, err
		}
		b.proxies = append(b.proxies, p)
	}
	return b, nil
}

// start starts the server at its address. What it had in memory is gone.
func (b *backplane) start() (err error) {
	host, port, err := net.SplitHostPort(b.address)
	if err != nil {
		return err
	}
	var cmd *exec.Cmd
	if b.kind == "redis" {
		cmd = exec.Command("redis-server", "--bind", host, "--port", port, "--dir", b.dir, "--save", "", "--appendonly", "no")
	} else {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		cmd = exec.Command(self, "-serve-nats", b.address)
		cmd.Stderr = os.Stderr
	}
	if b.server, err = launch(cmd); err != nil {
		return err
	}
	if err = awaitPort(b.server, b.address, 10*time.Second); err != nil {
		b.server.kill()
	}
	return err
}

// flags are those of a node.
func (b *backplane) flags(node int) []string {
	switch b.kind {
	case "embedded":
		var others []string
		for i, at := range b.joins {
			if i != node {
				others = append(others, at)
			}
		}
		flags := []string{"-cluster", "embedded", "-cluster-listen", b.joins[node]}
		if len(others) > 0 {
			flags = append(flags, "-join", strings.Join(others, ","))
		}
		return flags
	default:
		return []string{"-cluster", b.kind + "://" + b.proxies[node].Addr()}
	}
}

// close ends the server and the proxies.
func (b *backplane) close() {
	if b.server != nil {
		b.server.kill()
	}
	for _, p := range b.proxies {
		p.Close()
	}
}

// serveNATS is the process of the server: it runs one until it is told to end.
func serveNATS(address string) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	s, err := embedded.Start(embedded.Config{Listen: address})
	if err != nil {
		return fmt.Errorf("the server: %w", err)
	}
	defer s.Close()
	<-told
	return nil
}
