package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/penstock-go/penstock/pipeline"
)

// act is something that happens to a pipeline while it runs.
type act struct {
	at   time.Duration
	what string
	step string
	n    int
}

var errModelStop = errors.New("stop of the model")

// plan returns what is going to happen, in its order.
func (r *modelRun) plan(rng *rand.Rand) []act {
	var acts []act
	var names []string
	for _, n := range r.nodes {
		if _, ok := r.p.Step(n.name); ok {
			names = append(names, n.name)
		}
		if _, ok := r.p.Step(n.name + "-apart"); ok {
			names = append(names, n.name+"-apart")
		}
	}
	kinds := []string{"pause", "pause all", "resize", "rate", "rate all", "look", "restart", "restart", "crash", "crash", "add", "remove", "drain step"}
	if rng.IntN(3) == 0 {
		kinds = kinds[:6]
	}
	span := 1 + rng.Int64N(int64(4*time.Second))
	last := time.Duration(0)
	for range rng.IntN(8) {
		a := act{at: time.Duration(rng.Int64N(span)), what: kinds[rng.IntN(len(kinds))], n: rng.IntN(1000)}
		if len(names) > 0 {
			a.step = names[rng.IntN(len(names))]
		}
		acts = append(acts, a)
		if a.what == "pause" || a.what == "pause all" {
			acts = append(acts, act{at: a.at + time.Duration(rng.IntN(int(time.Second))), what: "resume" + a.what[len("pause"):], step: a.step})
		}
		last = max(last, acts[len(acts)-1].at)
	}
	slices.SortStableFunc(acts, func(a, b act) int { return int(a.at - b.at) })
	end := act{at: last + time.Duration(rng.Int64N(int64(4*time.Second))), what: "drain"}
	if rng.IntN(3) == 0 { // in the middle
		end.at = time.Duration(rng.Int64N(int64(last + time.Second)))
		acts = append(acts, end)
		slices.SortStableFunc(acts, func(a, b act) int { return int(a.at - b.at) })
	}
	endless := slices.ContainsFunc(r.sources, func(s *modelSource) bool { return s.endless })
	switch {
	case rng.IntN(6) == 0:
		end.what = "stop"
		acts = append(acts, end)
	case endless || rng.IntN(3) == 0:
		acts = append(acts, end)
	}
	for i, a := range acts {
		r.line("plan %d: %v %s %s %d", i, a.at, a.what, a.step, a.n)
	}
	return acts
}

// do does it.
func (r *modelRun) do(a act) {
	begin := time.Now()
	err := r.act(a)
	if time.Since(begin) > 10*time.Second {
		r.fault("%s of %s took %v", a.what, a.step, time.Since(begin))
	}
	_, refused := errors.AsType[*pipeline.OptionError](err)
	allowed := refused && (a.what == "drain step" || a.what == "remove" && (r.lossy || r.lastBranch)) // a partition; the last branch
	if err != nil && !errors.Is(err, pipeline.ErrUnable) && !errors.Is(err, pipeline.ErrStopped) && !allowed {
		r.fault("%s of %s: %v", a.what, a.step, err)
	}
	r.line("%s %s %d: %v", a.what, a.step, a.n, err)
	r.moved()
}

// noteCrash notes that from now on events may be handled twice.
func (r *modelRun) noteCrash() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.crashed = append(r.crashed, time.Now())
}

func (r *modelRun) act(a act) error {
	switch a.what {
	case "pause all":
		r.p.Pause()
	case "resume all":
		r.p.Resume()
	case "rate all":
		return r.p.SetRate(randomRate(a.n))
	case "drain":
		r.ending()
		r.p.Drain()
	case "stop":
		r.p.Stop(errModelStop)
	case "crash":
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.mortal) > 0 {
			r.doomed[r.mortal[a.n%len(r.mortal)]] += 1 + a.n%3
		}
	case "add":
		return r.addBranch(a)
	case "remove":
		return r.removeBranch(a)
	case "look":
		r.look(false)
	}
	step, ok := r.p.Step(a.step)
	if !ok {
		return nil
	}
	switch a.what {
	case "pause":
		step.Pause()
	case "resume":
		step.Resume()
	case "resize":
		r.mu.Lock()
		r.disordered = r.disordered || strings.HasPrefix(a.step, "mapbatch") || strings.HasPrefix(a.step, "eachbatch") // several workers
		r.mu.Unlock()
		return step.Resize(1 + a.n%16)
	case "rate":
		return step.SetRate(randomRate(a.n))
	case "restart":
		r.noteCrash()
		return step.Restart()
	case "drain step":
		return r.drainStep(step, a)
	}
	return nil
}

func randomRate(n int) pipeline.Rate {
	if n%3 == 0 {
		return pipeline.Rate{}
	}
	return pipeline.Rate{PerSecond: float64(20 + n), Burst: 1 + n%7}
}

// addBranch adds one while the pipeline runs.
func (r *modelRun) addBranch(a act) error {
	if len(r.branches) == 0 {
		return nil
	}
	m := r.branches[a.n%len(r.branches)]
	b := &builder{r: r, rng: rand.New(rand.NewPCG(r.seed, uint64(a.n))), left: 1 + a.n%3, late: true}
	n := b.node("pass", modelFlow{})
	r.mu.Lock()
	n.calm, n.optional = true, true
	m.n.next = append(slices.Clip(m.n.next), n)
	r.mu.Unlock()
	r.say(fmt.Sprintf("added to %s:", m.n.name))
	err := m.of.Add(n.name, b.branchConfig(), func(f *pipeline.Flow[item]) {
		b.grow(modelFlow{flow: f, tails: []func(*modelNode){func(next *modelNode) {
			r.mu.Lock()
			defer r.mu.Unlock()
			n.link(next)
		}}, mark: string(rune('a' + len(m.names)%26))})
	})
	if err == nil {
		m.names, m.of1 = append(m.names, n.name), append(m.of1, n)
	}
	return err
}

// removeBranch removes one that is not the last.
func (r *modelRun) removeBranch(a act) error {
	if len(r.branches) == 0 {
		return nil
	}
	m := r.branches[a.n%len(r.branches)]
	if len(m.names) < 2 {
		return nil
	}
	i := a.n % len(m.names)
	r.mu.Lock()
	m.of1[i].optional = true
	r.mu.Unlock()
	name := m.names[i]
	m.names, m.of1 = slices.Delete(m.names, i, i+1), slices.Delete(m.of1, i, i+1)
	r.line("removes %s", name)
	r.thinned = true
	r.lastBranch = r.alone(m)
	return m.of.Remove(name)
}

// alone reports whether all branches that were not removed have ended otherwise: with a step
// that was drained, or that has died.
func (r *modelRun) alone(m *modelBranches) bool {
	for _, at := range r.p.Snapshot(context.Background()).Steps {
		if at.State != "stopped" && slices.Contains(m.names, at.Name) {
			return false
		}
	}
	return true
}

// drainStep ends a step. Branches that it is in may end with it.
func (r *modelRun) drainStep(step *pipeline.Step, a act) error {
	r.lossy = true
	r.ending()
	r.mu.Lock()
	for _, n := range r.nodes {
		if n.kind == "pass" || n.kind == "drop" {
			n.optional = n.optional || n.leadsTo(a.step)
		}
	}
	r.mu.Unlock()
	return step.Drain()
}

// leadsTo reports whether events of the step may come to the one of a name.
func (n *modelNode) leadsTo(name string) bool {
	return name == n.name || name == n.name+"-apart" || slices.ContainsFunc(n.next, func(next *modelNode) bool {
		return next != nil && next.leadsTo(name)
	})
}
