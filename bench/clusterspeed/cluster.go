//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/bench/internal/proc"
	"github.com/penstock-go/penstock/internal/ports"
)

// nodes is how many nodes there are.
const nodes = 3

// cluster is three processes, with the Redis that joins them if it is not NATS.
type cluster struct {
	o         options
	backplane string
	nodes     []*process
	clients   *process // nil before the sockets
	redis     *goredis.Client
	server    *exec.Cmd    // the Redis that was started
	port      *ports.Range // of it
	dir       string       // of its data
	rows      []row
}

// openCluster starts the processes, and Redis if it is wanted.
func openCluster(ctx context.Context, o options, backplane string) (c *cluster, err error) {
	c = &cluster{o: o, backplane: backplane}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	cfg := nodeConfig{}
	if backplane == "redis" {
		if cfg.Redis, err = c.openRedis(ctx); err != nil {
			return c, err
		}
	}
	for k := range nodes {
		cfg.Name = string(rune('a' + k))
		p, err := startProcess(cfg.Name, "node")
		if err != nil {
			return c, err
		}
		c.nodes = append(c.nodes, p)
		j, err := call[joined](ctx, p, "start", cfg)
		if err != nil {
			return c, err
		}
		if cfg.Join == "" {
			cfg.Join = j.Join
		}
	}
	_, err = callEach[none](ctx, c.nodes, "reach", same(nodes-1))
	return c, err
}

// openRedis connects to the Redis that was named, or starts one.
func (c *cluster) openRedis(ctx context.Context) (address string, err error) {
	address = c.o.redis
	if address == "" {
		if address, err = c.startRedis(); err != nil {
			return "", err
		}
	}
	c.redis = goredis.NewClient(&goredis.Options{Addr: address})
	return address, until(ctx, "Redis at "+address, func() bool { return c.redis.Ping(ctx).Err() == nil })
}

// startRedis starts a server that writes nothing to its disk.
func (c *cluster) startRedis() (address string, err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", fmt.Errorf("%w: install Redis, or name one with -redis, or use -backplane nats", err)
	}
	if c.port, err = ports.Take(1); err != nil {
		return "", err
	}
	address = c.port.Addr(0)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if c.dir, err = os.MkdirTemp("", "clusterspeed"); err != nil {
		return "", err
	}
	c.server = exec.Command(path, "--bind", "127.0.0.1", "--port", port, "--dir", c.dir, "--save", "", "--appendonly", "no",
		"--logfile", filepath.Join(c.dir, "log"))
	c.server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return address, c.server.Start()
}

// close ends all processes.
func (c *cluster) close() error {
	var errs []error
	if c.clients != nil {
		errs = append(errs, c.clients.close())
	}
	// At the same time, or those that are left would miss the others.
	ended := make([]error, len(c.nodes))
	var group sync.WaitGroup
	for k, p := range c.nodes {
		group.Go(func() { ended[k] = p.close() })
	}
	group.Wait()
	errs = append(errs, ended...)
	if c.redis != nil {
		errs = append(errs, c.redis.Close())
	}
	if c.server != nil {
		_ = c.server.Process.Kill() // its data is not needed
		_ = c.server.Wait()
	}
	if c.port != nil {
		c.port.Close()
	}
	if c.dir != "" {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}

// add adds a row and shows it.
func (c *cluster) add(r row) {
	r.Backplane = c.backplane
	c.rows = append(c.rows, r)
	progress("%s: %s: %s %s %s", r.Backplane, r.Work, figure(r.Ours), r.Unit, r.verdict())
}

// cpu returns the processor time of the nodes, and of the Redis that was started.
func (c *cluster) cpu(ctx context.Context) (total time.Duration, err error) {
	all, err := callEach[used](ctx, c.nodes, "usage", same(none{}))
	if err != nil {
		return 0, err
	}
	for _, u := range all {
		total += u.CPU
	}
	if c.server != nil {
		server, _, err := proc.Usage(c.server.Process.Pid)
		if err != nil {
			return 0, err
		}
		total += server
	}
	return total, nil
}

// heaps returns the heap of each node.
func (c *cluster) heaps(ctx context.Context) ([]used, error) {
	return callEach[used](ctx, c.nodes, "heap", same(none{}))
}
