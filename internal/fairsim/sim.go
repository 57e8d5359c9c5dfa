package fairsim

import (
	"container/heap"
	"math/rand/v2"
	"slices"
)

// Event is one piece of work.
type Event struct {
	User    int   // victims are 0 to Victims-1, flooders follow
	Seq     int   // by arrival
	At      int64 // arrival in nanoseconds
	Service int64 // how long a worker takes for it
}

// Queue is what stands between arrivals and workers.
type Queue interface {
	// Arrive takes an event and returns those that were dropped for it.
	Arrive(now int64, e Event) (dropped []Event)
	// Next is an event for this worker, or false.
	Next(now int64, worker int) (Event, bool)
	// Done says that a worker has finished an event.
	Done(now int64, e Event)
}

// Config is one scenario. All rates are per Service.
type Config struct {
	Seed     uint64
	Workers  int
	Prefetch int // events a worker holds besides the one in hand
	// Victims are users that together use Load of the workers' capacity.
	Victims int
	Load    float64
	// Flooders together send Flood times the workers' capacity, evenly.
	Flooders int
	Flood    float64
	// Service is the mean service time in nanoseconds; Fixed makes it constant
	// instead of exponential.
	Service int64
	Fixed   bool
	// Staggered lets worker i begin i/Workers of a service time late, so that
	// workers of constant service do not finish at the same time again and again.
	Staggered bool
	// Warmup is how many mean service times pass before Waits are recorded.
	Warmup int
	// Length is how many mean service times arrivals go on for.
	Length int
}

// Result is what happened.
type Result struct {
	// Waits are the victims' times from arrival to completion, sorted.
	Waits []int64
	// Served is how many events of each user were finished, Dropped how many
	// were dropped.
	Served, Dropped []int
	// VictimDrops is the sum of Dropped over the victims.
	VictimDrops int
}

// Quantile is the q-quantile of the victims' waits.
func (r Result) Quantile(q float64) int64 {
	if len(r.Waits) == 0 {
		return 0
	}
	return r.Waits[min(int(q*float64(len(r.Waits))), len(r.Waits)-1)]
}

// arrivals draws victims and flooders from sources of their own, so that the
// victims' schedule is the same with and without a flood.
func (c Config) arrivals() []Event {
	// Arrivals are a Poisson process: the gaps between them are exponential.
	end := float64(c.Length) * float64(c.Service)
	var all []Event
	draw := func(stream uint64, first, users int, load float64) {
		if users == 0 || load == 0 {
			return
		}
		rng := rand.New(rand.NewPCG(c.Seed, stream))
		gap := float64(c.Service) / (load * float64(c.Workers))
		for at := rng.ExpFloat64() * gap; at < end; at += rng.ExpFloat64() * gap {
			s := c.Service
			if !c.Fixed {
				s = max(1, int64(rng.ExpFloat64()*float64(c.Service)))
			}
			all = append(all, Event{User: first + rng.IntN(users), At: int64(at), Service: s})
		}
	}
	draw(1, 0, c.Victims, c.Load)
	draw(2, c.Victims, c.Flooders, c.Flood)
	slices.SortStableFunc(all, func(a, b Event) int { return int(a.At - b.At) })
	for i := range all {
		all[i].Seq = i
	}
	return all
}

// completion is a worker's end with an event.
type completion struct {
	at     int64
	seq    int
	worker int
	event  Event
}

// completions is a heap of what the workers have in hand, by time and then by the
// order of their starts, which makes a run repeatable.
type completions []completion

func (h completions) Len() int { return len(h) }
func (h completions) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h completions) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *completions) Push(x any)   { *h = append(*h, x.(completion)) }
func (h *completions) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// Run plays the scenario on a queue until the arrivals end.
func Run(c Config, q Queue) Result {
	users := c.Victims + c.Flooders
	r := Result{Served: make([]int, users), Dropped: make([]int, users)}
	local := make([][]Event, c.Workers) // in hand first, then prefetched
	var running completions
	seq := 0
	start := func(now int64, w int) {
		seq++
		heap.Push(&running, completion{now + local[w][0].Service, seq, w, local[w][0]})
	}
	fill := func(now int64) {
		// Slots are filled level by level, so that no worker prefetches an event
		// that an idle worker could begin.
		for level := 0; level <= c.Prefetch; level++ {
			for w := range local {
				if len(local[w]) != level || c.Staggered && now < int64(w)*c.Service/int64(c.Workers) {
					continue
				}
				e, ok := q.Next(now, w)
				if !ok {
					continue
				}
				if local[w] = append(local[w], e); level == 0 {
					start(now, w)
				}
			}
		}
	}
	finish := func() {
		done := heap.Pop(&running).(completion)
		w := done.worker
		local[w] = slices.Delete(local[w], 0, 1)
		if len(local[w]) > 0 {
			start(done.at, w)
		}
		q.Done(done.at, done.event)
		r.Served[done.event.User]++
		if done.event.User < c.Victims && done.event.At >= int64(c.Warmup)*c.Service {
			r.Waits = append(r.Waits, done.at-done.event.At)
		}
		fill(done.at)
	}
	for _, e := range c.arrivals() {
		for len(running) > 0 && running[0].at <= e.At {
			finish()
		}
		for _, d := range q.Arrive(e.At, e) {
			if r.Dropped[d.User]++; d.User < c.Victims {
				r.VictimDrops++
			}
		}
		fill(e.At)
	}
	slices.Sort(r.Waits)
	return r
}
