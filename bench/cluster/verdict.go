//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// bounds are what a run must not exceed.
type bounds struct {
	Recovery time.Duration
	Memory   int64 // bytes, resident, of one node
	// Records that may come twice because of one fault.
	Twice int
}

// cycle is what one fault did.
type cycle struct {
	Fault fault  `json:"fault"`
	Node  string `json:"node,omitempty"` // "" if it is not one node's
	// Seconds. Recovery is until no record was older than a second for the rest of the
	// cycle, from the end of the fault, or its beginning for kill and restart. Bystanders
	// is the longest way of a record to a user whose node and whose partition's node
	// had no fault; 0 if there was no such user.
	Lasted     float64 `json:"lasted_s"`
	Recovery   float64 `json:"recovery_s"`
	Bystanders float64 `json:"bystanders_s"`
	// Records that came twice within the cycle.
	Twice int `json:"twice"`
}

// end is how a node ended at the end of the run.
type end struct {
	Node     string  `json:"node"`
	Starts   int     `json:"starts"`
	Peak     int64   `json:"peak_rss_bytes"` // of all its processes
	Died     int     `json:"died"`           // times that it ended by itself
	Exit     int     `json:"exit"`
	Took     float64 `json:"end_s"`
	Problem  string  `json:"problem,omitempty"` // of its account
	Discards int64   `json:"discarded"`         // by the last process
}

// result is a whole run.
type result struct {
	Backplane   string  `json:"backplane"`
	Nodes       int     `json:"nodes"`
	Clients     int     `json:"clients"`
	Rate        int     `json:"rate"`
	Seed        uint64  `json:"seed"`
	Elapsed     float64 `json:"elapsed_s"`
	Planned     int     `json:"planned"` // cycles
	Interrupted bool    `json:"interrupted,omitempty"`
	Reconnects  int64   `json:"reconnects"`
	Away        float64 `json:"away_s"`   // the longest time of a phoenix client without its channel
	Expelled    int64   `json:"expelled"` // channels that a node ended without its connection
	tally
	Cycles []cycle  `json:"cycles"`
	Ends   []end    `json:"ends"`
	Missed []string `json:"missed"`
}

// misses lists what exceeds the bounds.
func (r result) misses(b bounds) (all []string) {
	miss := func(when bool, format string, a ...any) {
		if when {
			all = append(all, fmt.Sprintf(format, a...))
		}
	}
	miss(r.Interrupted, "the run was interrupted")
	miss(r.Made == 0, "nothing was produced")
	miss(len(r.Cycles) == 0, "no fault was made")
	miss(len(r.Cycles) > 0 && len(r.Cycles) < r.Planned, "%d of %d cycles were made", len(r.Cycles), r.Planned)
	miss(r.Lost != 0, "%d of %d records are lost", r.Lost, r.Made)
	miss(r.Refused != 0, "Kafka has not taken %d records", r.Refused)
	miss(r.Disorder != 0, "%d first deliveries are out of order", r.Disorder)
	miss(r.Wrong != 0, "%d frames have a wrong record", r.Wrong)
	miss(r.Twice > b.Twice*len(r.Cycles), "%d records came twice, at most %d for each fault", r.Twice, b.Twice)
	for i, c := range r.Cycles {
		miss(c.Recovery > b.Recovery.Seconds(), "cycle %d, %s %s: recovery took %.1f s", i+1, c.Fault, c.Node, c.Recovery)
	}
	miss(r.Away > b.Recovery.Seconds(), "a client was away for %.1f s", r.Away)
	for _, e := range r.Ends {
		miss(e.Peak > b.Memory, "%s: %d MiB resident, at most %d", e.Node, e.Peak>>20, b.Memory>>20)
		miss(e.Died != 0, "%s ended by itself %d times", e.Node, e.Died)
		miss(e.Exit != 0, "%s: exit code %d", e.Node, e.Exit)
		miss(e.Problem != "", "%s: %s", e.Node, e.Problem)
		miss(e.Discards != 0, "%s has discarded %d pushes", e.Node, e.Discards)
	}
	return all
}

// byFault is a row of the table: all cycles with one fault.
type byFault struct {
	fault                 fault
	cycles, twice         int
	recovery, most, stand float64 // seconds: the mean, the most; of bystanders
}

func (r result) rows() (rows []byFault) {
	for _, f := range faultsOf("") {
		row := byFault{fault: f}
		for _, c := range r.Cycles {
			if c.Fault == f {
				row.cycles++
				row.twice += c.Twice
				row.recovery += c.Recovery
				row.most, row.stand = max(row.most, c.Recovery), max(row.stand, c.Bystanders)
			}
		}
		if row.cycles > 0 {
			row.recovery /= float64(row.cycles)
			rows = append(rows, row)
		}
	}
	return rows
}

// print writes the tables for people.
func (r result) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\nfault\tcycles\trecovery s, mean\tmost\tbystanders s, most\ttwice\t")
	for _, row := range r.rows() {
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%.1f\t%.1f\t%d\t\n", row.fault, row.cycles, row.recovery, row.most, row.stand, row.twice)
	}
	fmt.Fprintln(t, "\nnode\tstarts\tpeak MiB\tend s\texit\tdiscarded\t")
	for _, e := range r.Ends {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1f\t%d\t%d\t\n", e.Node, e.Starts, e.Peak>>20, e.Took, e.Exit, e.Discards)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r.Away > 0 {
		fmt.Fprintf(w, "\nphoenix clients were away for up to %.1f s\n", r.Away)
	}
	_, err := fmt.Fprintf(w, "\n%s, %d nodes, %d clients, %d records in %.0f s, seed %d: lost %d, out of order %d, wrong %d, twice %d, stranded %d, %d reconnects, %d channels ended\n",
		r.Backplane, r.Nodes, r.Clients, r.Made, r.Elapsed, r.Seed, r.Lost, r.Disorder, r.Wrong, r.Twice, r.Stranded, r.Reconnects, r.Expelled)
	return err
}

func (r result) printJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }
