package main

import (
	"hash/fnv"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/stage"
)

// line is a dispatcher and its subscribers.
type line struct {
	// Made for one run: a dispatcher cannot be used by two stages.
	dispatcher dispatcher.Dispatcher[push]
	pools      []pool
}

// pool is a consumer with a number of workers, for one partition if that is not
// nil.
type pool struct {
	// How many pushes it has in flight at most.
	workers   int
	partition any
}

// rival makes a line with the number of workers of the configuration.
type rival func(cfg config) line

// fairDispatcher is the line of the program itself: one pool behind a dispatcher that
// shares by bytes.
func fairDispatcher(cfg config) line { return fairLine(cfg, fairConfig(cfg)) }

// fairDispatcher is the same, with the rate that the dashboard may set. Without that
// permission the dispatcher looks for none.
func (a *app) fairDispatcher(cfg config) line {
	c := fairConfig(cfg)
	if cfg.Control {
		c.RateOf = a.controls.rateOf
	}
	return fairLine(cfg, c)
}

func fairLine(cfg config, c fair.Config[push]) line {
	return line{stage.Must(fair.New(func(p push) string { return p.User }, c)), []pool{{workers: cfg.Workers}}}
}

// fairConfig holds as much as the source can have taken in. With -overflow pause
// nothing is dropped: what does not fit stays in the source, where from memory there is
// no more than fits.
func fairConfig(cfg config) fair.Config[push] {
	c := fair.Config[push]{Size: push.size}
	switch {
	case cfg.Overflow == "drop":
		c.Overflow = fair.DropLongest
		c.KeyMaxEvents, c.KeyMaxBytes, c.KeyOverflow = 1024, 1<<20, fair.DropOldest
	case cfg.Source == "kafka":
		// Without a bound for a user: the windows of the partitions ensure that a flood
		// holds up its own partition only.
		c.MaxEvents, c.MaxBytes = cfg.readAhead(), cfg.bufferBytes()
	default:
		c.MaxEvents, c.KeyMaxEvents = cfg.Buffer, min(cfg.UserBuffer, cfg.Buffer)
		c.MaxBytes, c.KeyMaxBytes = max(cfg.bufferBytes(), cfg.userBytes()), cfg.userBytes()
	}
	// Pushes of one user that wait go out in one write, which costs little more than that of
	// one. With few credits the users that wait have their turns in the order of their waits,
	// so that several have come by then. With work before each push they would be at work at
	// the same time, and between nodes each goes alone.
	if cfg.Work == 0 && cfg.Cluster == "" {
		c.Turn, c.Credits = 16, 2
	}
	return c
}

// rivals are the dispatchers that are compared, in the order of the table.
var rivals = []struct {
	name string
	make rival
}{
	{"Fair", fairDispatcher},
	{"round robin", func(cfg config) line {
		return line{newRoundRobin(), []pool{{workers: cfg.Workers}}}
	}},
	{"partition by hash", func(cfg config) line {
		workers := cfg.Workers
		l := line{dispatcher: stage.Must(dispatcher.NewPartition(workers, func(p push) (int, bool) {
			// The same user always has the same partition, and one worker of its own there.
			h := fnv.New32a()
			h.Write([]byte(p.User))
			return int(h.Sum32() % uint32(workers)), true
		}, dispatcher.PartitionConfig{}))}
		// One pool for each partition, each with one worker, so that the sum is the same.
		for i := range workers {
			l.pools = append(l.pools, pool{workers: 1, partition: i})
		}
		return l
	}},
	{"FIFO", func(cfg config) line {
		// In the order of arrival, whatever the user.
		return line{dispatcher.NewDemand[push](), []pool{{workers: cfg.Workers}}}
	}},
}
