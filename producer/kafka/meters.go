package kafka

import (
	"strconv"

	"github.com/penstock-go/penstock/metrics"
)

// meters are the counters. They have no tags: those of several producers add up.
type meters struct {
	records, poison, abandoned, commits, commitErrors, errors, unreadable metrics.Counter
}

func newMeters(r metrics.Recorder) meters {
	return meters{
		records: r.Counter("kafka.records"), poison: r.Counter("kafka.poison"), abandoned: r.Counter("kafka.abandoned"),
		commits: r.Counter("kafka.commits"), commitErrors: r.Counter("kafka.commit_errors"), errors: r.Counter("kafka.errors"),
		unreadable: r.Counter("kafka.unreadable"),
	}
}

// gauges are those of one producer, by its group and stage, and the lag of each of its
// partitions, which ends when the partition goes to another member. They belong to the
// committer.
type gauges struct {
	recorder               metrics.Recorder
	group, seat            string // seat is the stage's name, or with a number if another producer has that
	partitions, unfinished metrics.Gauge
	lag                    map[topicPartition]metrics.Gauge
}

// begin makes the gauges, when the name of the stage is known. end must follow.
func (g *gauges) begin(r metrics.Recorder, group, stage string) {
	stage = inProcess.take(group, stage)
	*g = gauges{
		recorder: r, group: group, seat: stage, lag: map[topicPartition]metrics.Gauge{},
		partitions: r.Gauge("kafka.partitions", metrics.Tag{Key: "group", Value: group}, metrics.Tag{Key: "stage", Value: stage}),
		unfinished: r.Gauge("kafka.unfinished", metrics.Tag{Key: "group", Value: group}, metrics.Tag{Key: "stage", Value: stage}),
	}
}

// set sets the gauges: lag has the partitions of this member.
func (g *gauges) set(unfinished int, lag map[topicPartition]int64) {
	g.partitions.Set(float64(len(lag)))
	g.unfinished.Set(float64(unfinished))
	for key := range g.lag {
		if _, mine := lag[key]; !mine {
			g.drop(key)
		}
	}
	for key, n := range lag {
		gauge := g.lag[key]
		if gauge == nil {
			gauge = g.recorder.Gauge("kafka.lag", metrics.Tag{Key: "group", Value: g.group}, metrics.Tag{Key: "topic", Value: key.topic},
				metrics.Tag{Key: "partition", Value: strconv.Itoa(int(key.partition))})
			g.lag[key] = gauge
		}
		gauge.Set(float64(n))
	}
}

// drop ends the lag of a partition.
func (g *gauges) drop(key topicPartition) {
	g.lag[key].Set(0)
	metrics.End(g.lag[key])
	delete(g.lag, key)
}

// end ends all gauges: the member has no partitions any more.
func (g *gauges) end() {
	for key := range g.lag {
		g.drop(key)
	}
	g.partitions.Set(0)
	g.unfinished.Set(0)
	metrics.End(g.partitions, g.unfinished)
	inProcess.leave(g.group, g.seat)
}

// measure sets the gauges. Only the committer calls it.
func (p *Producer[T]) measure() {
	lag := map[topicPartition]int64{}
	unfinished := 0
	p.mu.Lock()
	for key, part := range p.core.parts {
		unfinished += part.tracker.open
		lag[key] = p.core.lag(part)
	}
	p.mu.Unlock()
	p.gauges.set(unfinished, lag)
}
