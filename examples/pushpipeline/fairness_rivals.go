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

// rival makes a line with a number of workers in all.
type rival func(workers int) line

// fairDispatcher is the line of the program itself: one pool behind a
// dispatcher that shares by bytes.
func fairDispatcher(workers int) line {
	return line{
		stage.Must(fair.New(func(p push) string { return p.User }, fair.Config[push]{
			Size: func(p push) int { return len(p.Data) + len(p.User) },
		})),
		[]pool{{workers: workers}},
	}
}

// rivals are the dispatchers that are compared, in the order of the table.
var rivals = []struct {
	name string
	make rival
}{
	{"Fair", fairDispatcher},
	{"round robin", func(workers int) line {
		return line{newRoundRobin(), []pool{{workers: workers}}}
	}},
	{"partition by hash", func(workers int) line {
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
	{"FIFO", func(workers int) line {
		// In the order of arrival, whatever the user.
		return line{dispatcher.NewDemand[push](), []pool{{workers: workers}}}
	}},
}
