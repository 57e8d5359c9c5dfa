package presence

import (
	"context"
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// channel is the topic on which the trackers of all nodes meet. The name is
// that of Phoenix.Tracker.
func (t *Tracker) channel() string { return "phx_presence:" + t.cfg.Name }

// goodbyeTimeout bounds the last message of a tracker.
const goodbyeTimeout = time.Second

// Run takes part in the exchange with other nodes until ctx is done, says goodbye
// then and returns nil. The hub must run longer than that, or other nodes notice
// the end only after DownPeriod. Clients are closed after Run has returned, so that
// they are not seen twice at other nodes. Without other nodes Run only waits. It is
// called once.
//
// The goroutine of Run sends all that this node has to say. The goroutine in which
// the hub receives only decides.
func (t *Tracker) Run(ctx context.Context) error {
	if t.machine.alone {
		<-ctx.Done()
		return nil
	}
	t.life.Store(runs)
	defer t.life.Store(ended)
	// Subscribed before anything is asked, so that no answer is missed.
	sub, err := t.cfg.Hub.Subscribe(t.channel(), pubsub.SubscriberFunc(t.receive))
	if err != nil {
		return err
	}
	defer sub.Unsubscribe()
	// Heartbeats of other nodes arrive from here on, so that none is missed after
	// the first state.
	t.cfg.Hub.Settle(ctx, t.channel())
	t.take((*machine).begin)

	tick := time.NewTicker(t.cfg.BroadcastPeriod)
	defer tick.Stop()
	again := time.NewTimer(0) // to send what failed
	defer again.Stop()
	pause := firstPause
	for {
		select {
		case <-ctx.Done():
			limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTimeout)
			defer cancel()
			// What waits is of no use to the others any more.
			t.mu.Lock()
			t.post.waiting, t.post.known = nil, map[letter]bool{}
			t.post.add([]letter{{"", gossipBye}})
			t.mu.Unlock()
			t.sendAll(limit)
			return nil
		case <-tick.C:
			t.take((*machine).tick)
			continue
		// Each letter wakes Run, and so does the timer after a failure. tick sends
		// nothing itself: its letters wake Run.
		case <-t.post.wake:
		case <-again.C:
		}
		if t.sendAll(ctx) {
			pause = firstPause
			continue
		}
		again.Reset(pause)
		pause = min(2*pause, t.cfg.BroadcastPeriod)
	}
}

// firstPause is how long Run waits before it sends again what could not be sent,
// for instance because the hub has just begun to run. It doubles each time.
const firstPause = 20 * time.Millisecond

// take locks, makes a step at the present time and carries out its effects.
func (t *Tracker) take(step func(m *machine, now time.Time) effects) {
	t.mu.Lock()
	eff := step(t.machine, time.Now())
	t.carryOut(&eff)
	t.mu.Unlock()
	for _, n := range eff.notes {
		t.logger.Info("presence node "+n.text, "tracker", t.cfg.Name, "node", n.node)
	}
}

// carryOut makes what follows from a step visible and due to be sent. The mutex is
// held; nothing is sent here.
func (t *Tracker) carryOut(eff *effects) {
	if !eff.change.empty() {
		t.view.show(eff.change)
		t.tell(eff.change)
	}
	t.post.add(eff.letters)
}

// receive takes a message of another node, in the goroutine in which the hub
// receives. What it sends to the tracker's own topic comes back and is ignored.
func (t *Tracker) receive(m *pubsub.Message) bool {
	from := m.Origin()
	if from == "" || from == t.machine.self.name {
		return false
	}
	var g gossip
	if err := m.Payload.Decode(&g); err != nil || !g.valid() {
		t.counters.malformed.Add(1)
		t.logs.malformed.Log(t.logger, slog.LevelWarn, "presence message of another node dropped", "tracker", t.cfg.Name, "node", from, "event", m.Event, "error", err)
		return false
	}
	var unknown bool
	t.take(func(machine *machine, now time.Time) effects {
		eff := machine.step(now, from, m.Event, &g)
		unknown = eff.unknown
		return eff
	})
	if unknown {
		t.counters.unknown.Add(1)
		t.logs.unknown.Log(t.logger, slog.LevelWarn, "presence message of another node ignored: this release does not know it", "tracker", t.cfg.Name, "node", from, "event", m.Event)
	}
	return true
}

// The life of a tracker that has other nodes.
const (
	made int32 = iota
	runs
	ended
)

// expectRun warns if presences are not shared with other nodes: Run was forgotten,
// or has ended.
func (t *Tracker) expectRun() {
	life := t.life.Load()
	if t.machine.alone || life == runs || (life == made && time.Since(t.made) < t.cfg.HeartbeatPeriod) {
		return
	}
	t.logs.idle.Log(t.logger, slog.LevelWarn, "presence tracker does not run: other nodes do not see its presences", "tracker", t.cfg.Name, "node", t.machine.self.name)
}
