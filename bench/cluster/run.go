//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// config is what the flags say.
type config struct {
	backplane        string
	nodes, clients   int
	rate, partitions int
	cycles           int
	faults           []fault
	length           time.Duration // that a cycle is watched for after its fault
	seed             uint64
	program, logs    string // empty: built, and a temporary folder
	grace, session   time.Duration
	bufferMiB        int // of a node
	recovery         time.Duration
	memory           int64 // bytes
	phoenix          bool  // the clients are those of npm
}

// The lengths of the faults.
const (
	downFor    = time.Second // a killed node
	stoppedFor = 10 * time.Second
	awayFor    = 5 * time.Second // the backplane, for all nodes or for one
)

// patience is how long a run waits for what should have come long ago.
const patience = 40 * time.Second

// run is one run: the processes, and what is measured. The goroutine of execute owns it.
type run struct {
	config
	begun  time.Time
	broker *broker
	plane  *backplane
	nodes  []*node
	pourer *pourer
	crowd  *crowd
	ledger *ledger

	mu   sync.Mutex
	what string        // for the progress; guarded by mu
	late time.Duration // when last a record was older than a second; guarded by mu
}

func (r *run) now() time.Duration { return time.Since(r.begun) }

// execute makes a whole run. It ends all processes that it has started.
func execute(ctx context.Context, cfg config) (res result, err error) {
	dir, err := os.MkdirTemp("", "cluster-")
	if err != nil {
		return res, err
	}
	defer os.RemoveAll(dir)
	r := &run{config: cfg, begun: time.Now(), ledger: newLedger(cfg.clients)}
	res = result{Backplane: cfg.backplane, Nodes: cfg.nodes, Clients: cfg.clients, Rate: cfg.rate, Seed: cfg.seed, Planned: cfg.cycles}
	defer r.close()
	if err := r.open(ctx, dir); err != nil {
		return res, err
	}
	// Beyond ctx: the clients and the records on their way are there until the end.
	audience, disperse := context.WithCancel(context.Background())
	defer r.crowd.running.Wait()
	defer disperse()
	if r.phoenix {
		if err := r.crowd.startPhoenix(audience); err != nil {
			return res, err
		}
	} else {
		r.crowd.start(audience)
	}
	pouring, stopPouring := context.WithCancel(ctx)
	var poured, watching sync.WaitGroup
	defer poured.Wait()
	defer stopPouring()
	poured.Go(func() { r.pourer.pour(pouring, cfg.rate, cfg.seed) })
	watch, stopWatch := context.WithCancel(context.Background())
	defer watching.Wait()
	defer stopWatch()
	watching.Go(func() { r.watch(watch) })
	watching.Go(func() { r.report(watch) })

	r.say("begins")
	if err := r.await(ctx, "all clients and the first records", func() bool {
		return int(r.crowd.connected.Load()) == cfg.clients && r.ledger.quick().Arrived > 0 && r.ledger.oldest(r.now()) < time.Second
	}); err != nil {
		return res, err
	}
	for i, s := range plan(cfg.cycles, cfg.faults, cfg.nodes, cfg.seed) {
		r.say(fmt.Sprintf("cycle %d/%d %s", i+1, cfg.cycles, s.fault))
		c, err := r.cycle(ctx, s)
		if ctx.Err() != nil {
			res.Interrupted = true
			break
		}
		if err != nil {
			return res, fmt.Errorf("cycle %d, %s: %w", i+1, s.fault, err)
		}
		res.Cycles = append(res.Cycles, c)
		if c.Recovery > max(cfg.recovery, patience/2).Seconds() {
			break // the rest would show the same: say now what it hangs on
		}
	}
	r.say("waits for the rest")
	stopPouring()
	poured.Wait()
	flushing, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = r.pourer.client.Flush(flushing) // what is not written counts as lost
	// What has not come by then is lost.
	if r.await(context.Background(), "the rest", func() bool { return r.ledger.oldest(r.now()) == 0 }) != nil {
		r.explain()
	}
	rest(context.Background(), time.Second) // for what comes twice
	res.Away = r.crowd.away.most(time.Now()).Seconds()
	res.Ends = r.finish()
	res.tally, res.Elapsed = r.ledger.counts(), r.now().Seconds()
	res.Reconnects, res.Expelled = r.crowd.reconnects.Load(), r.crowd.expelled.Load()
	return res, nil
}

// open starts the broker, the backplane and the nodes.
func (r *run) open(ctx context.Context, dir string) (err error) {
	logs := r.logs
	if logs == "" {
		logs = dir
	} else if err := os.MkdirAll(logs, 0o755); err != nil {
		return err
	}
	if r.program == "" {
		r.program = filepath.Join(dir, "pushpipeline")
		build := exec.CommandContext(ctx, "go", "build", "-o", r.program, "./examples/pushpipeline")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("the program is not built: %w", err)
		}
	}
	secret := rand.Text()
	secretFile := filepath.Join(dir, "secret")
	if err := os.WriteFile(secretFile, []byte(secret), 0o600); err != nil {
		return err
	}
	topic := "cluster-" + rand.Text()[:8]
	if r.broker, err = openBroker(ctx, dir, topic); err != nil {
		return err
	}
	if r.plane, err = openBackplane(r.backplane, r.config.nodes, dir); err != nil {
		return err
	}
	var addrs []string
	for i := range r.config.nodes {
		n, err := newNode(i, nodeConfig{
			program: r.program, dir: logs, brokers: r.broker.addr, topic: topic, partitions: r.partitions, secretFile: secretFile,
			grace: r.grace, session: r.session, bufferMiB: r.bufferMiB, plane: r.plane,
		})
		if err != nil {
			return err
		}
		r.nodes, addrs = append(r.nodes, n), append(addrs, n.addr)
		if err := n.start(ctx); err != nil {
			return err
		}
	}
	if r.pourer, err = newPourer(r.broker, topic, r.partitions, r.ledger, r.begun); err != nil {
		return err
	}
	r.crowd, err = newCrowd(r.clients, addrs, secret, r.ledger, r.begun, r.seed)
	return err
}

// close ends what still runs.
func (r *run) close() {
	if r.pourer != nil {
		r.pourer.client.Close()
	}
	for _, n := range r.nodes {
		n.close()
	}
	if r.plane != nil {
		r.plane.close()
	}
	if r.broker != nil {
		r.broker.close()
	}
}

// await waits for a condition.
func (r *run) await(ctx context.Context, what string, done func() bool) error {
	for begin := time.Now(); !done(); {
		if time.Since(begin) > patience {
			return fmt.Errorf("waited in vain for %s", what)
		}
		if !rest(ctx, 10*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

// cycle makes a fault and watches what becomes of the records.
func (r *run) cycle(ctx context.Context, s step) (c cycle, err error) {
	c.Fault = s.fault
	if s.fault != faultBackplane {
		c.Node = r.nodes[s.node].name
	}
	twice, users := r.ledger.quick().Twice, r.bystanders(ctx, s)
	r.ledger.worstOf(nil, 0) // from here on
	begun := r.now()
	from, err := r.do(ctx, s)
	if err != nil {
		return c, err
	}
	if s.fault == faultKill || s.fault == faultRestart {
		from = begun
	}
	done := r.now()
	for r.now()-done < patience && (r.now()-done < r.length || r.now()-r.lastLate() < time.Second) {
		if !rest(ctx, 10*time.Millisecond) {
			return c, ctx.Err()
		}
	}
	c.Lasted, c.Twice = (r.now() - begun).Seconds(), r.ledger.quick().Twice-twice
	c.Recovery = max(0, r.lastLate()-from).Seconds()
	c.Bystanders = r.ledger.worstOf(users, r.now()).Seconds()
	for _, n := range r.nodes {
		if n.gone() {
			err = errors.Join(err, n.start(ctx))
		}
	}
	return c, err
}

// do makes a fault and returns when it has ended.
func (r *run) do(ctx context.Context, s step) (ended time.Duration, err error) {
	n := r.nodes[s.node]
	switch s.fault {
	case faultKill:
		n.kill()
		if !rest(ctx, downFor) {
			return 0, ctx.Err()
		}
		err = n.start(ctx)
	case faultRestart:
		n.running.end(3 * drain)
		n.kill() // for its figures
		err = n.start(ctx)
	case faultStop:
		n.signal(syscall.SIGSTOP)
		rest(ctx, stoppedFor)
		n.signal(syscall.SIGCONT)
	case faultBackplane:
		r.plane.server.kill()
		rest(ctx, awayFor)
		err = r.plane.start()
	case faultCut:
		r.plane.proxies[s.node].Cut()
		rest(ctx, awayFor)
		r.plane.proxies[s.node].Heal()
	}
	return r.now(), err
}

// bystanders returns the users whom a fault should not concern: their client is at
// another node, and their partition too.
func (r *run) bystanders(ctx context.Context, s step) (users []int) {
	if s.fault == faultBackplane {
		return nil
	}
	limit, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	owners, err := r.pourer.owners(limit)
	if err != nil {
		return nil // the group is in motion: there is no measurement
	}
	for _, c := range r.crowd.clients {
		owner, at := owners[r.pourer.partitionOf(c.user)], int(c.at.Load())
		if owner != "" && owner != r.nodes[s.node].name && at >= 0 && at != s.node {
			users = append(users, c.user)
		}
	}
	return users
}

// finish ends all nodes at once.
func (r *run) finish() []end {
	ends := make([]end, len(r.nodes))
	var all sync.WaitGroup
	for i, n := range r.nodes {
		all.Go(func() { ends[i] = n.finish() })
	}
	all.Wait()
	return ends
}

// explain prints where the users are who miss records, and what the nodes say.
func (r *run) explain() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	owners, err := r.pourer.owners(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster: the group:", err)
	}
	for _, g := range r.ledger.gaps() {
		at, partition := "no node", r.pourer.partitionOf(g.user)
		if i := r.crowd.clients[g.user].at.Load(); i >= 0 {
			at = r.nodes[i].name
		}
		fmt.Fprintf(os.Stderr, "user %s misses %d records from number %d on: at %s, partition %d of %s\n", name(g.user), g.missing, g.first, at, partition, owners[partition])
	}
	for _, n := range r.nodes {
		fmt.Fprintf(os.Stderr, "%s: %s\n", n.name, n.stats())
	}
}

// watch notes when records are late.
func (r *run) watch(ctx context.Context) {
	for rest(ctx, 10*time.Millisecond) {
		if now := r.now(); r.ledger.oldest(now) > time.Second {
			r.mu.Lock()
			r.late = now
			r.mu.Unlock()
		}
	}
}

func (r *run) lastLate() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.late
}

func (r *run) say(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.what = what
}

// report prints a line a second.
func (r *run) report(ctx context.Context) {
	var before tally
	for rest(ctx, time.Second) {
		t, now := r.ledger.quick(), r.now()
		r.mu.Lock()
		what := r.what
		r.mu.Unlock()
		fmt.Fprintf(os.Stderr, "%6.1fs  %-24s in %6d/s  out %6d/s  on the way %6d  oldest %5.1f s  twice %5d  connected %d\n",
			now.Seconds(), what, t.Made-before.Made, t.Arrived-before.Arrived, t.Made-t.Refused-t.Arrived, r.ledger.oldest(now).Seconds(), t.Twice, r.crowd.connected.Load())
		before = t
	}
}
