package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/penstock-go/penstock/metrics/statsd/statsdserver"
)

// summary is the account of a whole run. Enqueued must be Delivered + Queued +
// the sum of Discarded.
type summary struct {
	// Confirmed to those that pushed here. What was read from Kafka may be of others.
	Accepted int64 `json:"accepted"`
	// Taken in: from memory the same as Accepted, from Kafka what was read there.
	Enqueued  int64 `json:"enqueued"`
	Delivered int64 `json:"delivered"`
	// Taken in and not delivered at the end: again in Kafka, or lost with this process.
	Queued     int64            `json:"queued"`
	Discarded  map[string]int64 `json:"discarded"`
	Duplicates int64            `json:"duplicates"`
	OutOfOrder int64            `json:"out_of_order"`
	WrongUser  int64            `json:"wrong_user"`
	// Over the whole run, unlike those of status.
	Light   latency `json:"light"`
	Heavy   latency `json:"heavy"`
	Clients int     `json:"clients"`
	Elapsed float64 `json:"elapsed_s"`
	Refused int64   `json:"refused"`
	// In Kafka at the end, on the partitions of this process, and not read.
	Backlog int64 `json:"backlog"`
	// In bytes: in use at the end, after a collection, and resident at the most.
	Heap    uint64 `json:"heap_bytes"`
	PeakRSS uint64 `json:"peak_rss_bytes"` // 0 if the system does not say
	Source  string `json:"source"`
	// Queued and Backlog are in Kafka, which another member or the next run delivers.
	Kept bool `json:"kept"`
}

// summarise reads the accounts after everything has ended. The latencies are
// those that reached the StatsD listener; it waits until all of them have, or
// ctx is done.
func (a *app) summarise(ctx context.Context) summary {
	// Final by now: everything that could deliver has ended.
	delivered := a.ledger.delivered.Load()
	counted := func(s statsdserver.Snapshot) int64 {
		light, _ := s.Find(pushDelivered, "class:light")
		heavy, _ := s.Find(pushDelivered, "class:heavy")
		return light.Life.Count + heavy.Life.Count
	}
	// UDP may lose some: the wait must not last.
	limit, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if a.statsd.Wait(limit, func(s statsdserver.Snapshot) bool { return counted(s) >= delivered }) != nil {
		a.log.Warn("not every measurement has reached the StatsD listener", "delivered", delivered, "measured", counted(a.statsd.Snapshot()))
	}
	// After the wait, so that it agrees with the latencies.
	// It waits only for a stage that hangs: the others have stopped, or never run.
	reading, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	acc := a.account(reading)
	measured := a.statsd.Snapshot()
	life := func(tags string) latency {
		s, _ := measured.Find(pushDelivered, tags)
		return toLatency(s.Life)
	}
	return summary{
		Accepted: a.ledger.accepted.Load(), Enqueued: acc.enqueued, Delivered: delivered,
		Queued:    int64(acc.waiting + acc.held + acc.inFlight + acc.left),
		Discarded: a.ledger.discards(), Refused: a.ledger.refused.Load(),
		Duplicates: a.clients.duplicates.Load(), OutOfOrder: a.clients.disorder.Load(), WrongUser: a.clients.wrongUser.Load(),
		Light: life("class:light"), Heavy: life("class:heavy"),
		Clients: a.cfg.Clients, Elapsed: float64(time.Since(a.begun).Round(time.Millisecond)) / float64(time.Second),
		Source: a.cfg.Source, Kept: a.cfg.keeps(), Backlog: int64(acc.backlog), Heap: heapInUse(), PeakRSS: peakRSS(),
	}
}

// balanced reports whether every push is accounted for.
func (s summary) balanced() bool { return s.Enqueued == s.Delivered+s.Queued+sum(s.Discarded) }

// printJSON writes the summary as one JSON object.
func (s summary) printJSON(w io.Writer) error { return json.NewEncoder(w).Encode(s) }

// print writes the summary for people.
func (s summary) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d pushes in %.1f s from %s to %d clients\n\n", s.Enqueued, s.Elapsed, s.Source, s.Clients)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "enqueue to socket\tpushes\tp50\tp99\tmax\t")
	for _, row := range []struct {
		name string
		l    latency
	}{{"heavy user", s.Heavy}, {"other users", s.Light}} {
		fmt.Fprintf(t, "%s\t%d\t%.2f ms\t%.2f ms\t%.2f ms\t\n", row.name, row.l.Count, row.l.P50, row.l.P99, row.l.Max)
	}
	_ = t.Flush() // into a strings.Builder
	fmt.Fprintf(&b, "\nenqueued %d = delivered %d + queued %d + discarded %d", s.Enqueued, s.Delivered, s.Queued, sum(s.Discarded))
	if !s.balanced() {
		b.WriteString("  DOES NOT ADD UP")
	}
	b.WriteString("\n")
	if left := s.Queued + s.Backlog; s.Kept && left > 0 {
		fmt.Fprintf(&b, "left in Kafka, to be delivered by the next run: %d\n", left)
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Discarded)) {
		fmt.Fprintf(&b, "  discarded %s: %d\n", reason, s.Discarded[reason])
	}
	fmt.Fprintf(&b, "duplicates %d, out of order %d, to a wrong user %d, refused %d\n", s.Duplicates, s.OutOfOrder, s.WrongUser, s.Refused)
	_, err := io.WriteString(w, b.String())
	return err
}

// line is the progress of a running program.
func (s status) line() string {
	return fmt.Sprintf("%6.1fs  in %7.0f/s  out %7.0f/s  in flight %4d  queued %6d  p99 light %8.2f ms  heavy %8.2f ms  discarded %d",
		s.Uptime, s.Rate.In, s.Rate.Out, s.InFlight, s.Queued, s.LightTimes.P99, s.HeavyTimes.P99, sum(s.Discarded))
}
