package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// result is what became of a load.
type result struct {
	Shoppers int    `json:"shoppers"`
	Database string `json:"database"`
	Nodes    int    `json:"nodes"`
	Stocked  int    `json:"stocked"` // pairs
	Sold     int    `json:"sold"`    // as the database has it
	Bought   int64  `json:"bought"`  // as the shoppers have it
	Left     int    `json:"left"`
	Refused  int64  `json:"refused"` // attempts for a pair that was gone
	Oversold int    `json:"oversold"`
	// How much later than the commit of a size's last pair a page shows it as out.
	OutP50 float64 `json:"out_p50_ms"`
	OutP99 float64 `json:"out_p99_ms"`
	OutMax float64 `json:"out_max_ms"`
	// Pages that have not shown a size as out that is.
	Missed   int     `json:"missed"`
	Returned int64   `json:"returned"` // shoppers who left, or lost their node, and came back
	Errors   int64   `json:"errors"`
	Seconds  float64 `json:"seconds"` // from the release to the end
}

// report counts, prints, and fails if the shop has failed.
func (l *load) report(ctx context.Context, begun, ended time.Time, stdout io.Writer) error {
	account, err := l.store.Account(ctx)
	if err != nil {
		return err
	}
	truth, err := l.store.SoldOut(ctx)
	if err != nil {
		return err
	}
	r := result{
		Shoppers: l.cfg.Shoppers, Database: l.store.Kind(), Nodes: len(l.shops), Stocked: account.Stocked, Sold: account.Sold, Left: account.Available,
		Oversold: account.Oversold, Bought: l.bought.Load(), Refused: l.refused.Load(), Returned: l.returned.Load(), Errors: l.errors.Load(), Seconds: ended.Sub(begun).Seconds(),
	}
	var all []time.Duration
	for _, c := range l.clients {
		delays, missed := c.delays(truth, ended)
		all = append(all, delays...)
		r.Missed += missed
	}
	slices.Sort(all)
	r.OutP50, r.OutP99, r.OutMax = percentileOf(all, 50), percentileOf(all, 99), percentileOf(all, 100)
	if l.cfg.JSON {
		err = json.NewEncoder(stdout).Encode(r)
	} else {
		shown := "No page saw a size sell out"
		if len(all) > 0 {
			shown = fmt.Sprintf("A page showed a size as sold out %.1f ms (p50), %.1f ms (p99) after the truth", r.OutP50, r.OutP99)
		}
		_, err = fmt.Fprintf(stdout, "%d shoppers on %s bought %d of %d pairs in %.1f s, oversold %d; %d were too late. %s, %d missed it; %d errors.\n",
			r.Shoppers, r.Database, r.Sold, r.Stocked, r.Seconds, r.Oversold, r.Refused, shown, r.Missed, r.Errors)
	}
	if err != nil {
		return err
	}
	return r.verdict()
}

// verdict returns what the shop has promised and not kept: then the program ends with exit
// code 1.
func (r result) verdict() error {
	switch {
	case r.Oversold != 0:
		return fmt.Errorf("%d pairs were sold that were never in stock", r.Oversold)
	case r.Stocked != r.Sold+r.Left:
		return fmt.Errorf("the account does not add up: %d pairs were in stock, %d are sold and %d are left", r.Stocked, r.Sold, r.Left)
	case r.Missed != 0:
		return fmt.Errorf("%d pages missed that a size was sold out", r.Missed)
	case r.Nodes == 1 && r.Bought != int64(r.Sold):
		return fmt.Errorf("shoppers have %d pairs, the database has sold %d", r.Bought, r.Sold)
	}
	return nil
}

// progress writes a line a second.
func (l *load) progress(ctx context.Context, stderr io.Writer) {
	begun := time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			fmt.Fprintf(stderr, "%4.0f s  shoppers %d  bought %d  too late %d  errors %d\n",
				time.Since(begun).Seconds(), l.present.Load(), l.bought.Load(), l.refused.Load(), l.errors.Load())
		}
	}
}

// grace is how late a page may show a size as out that sells out just before the end.
const grace = time.Second

// delays returns how much later than the truth the shopper's page has shown each size as
// out, and how many it has not shown at all. Pages that were opened later do not count.
func (c *client) delays(truth map[int64]time.Time, ended time.Time) (delays []time.Duration, missed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, at := range truth {
		seen, ok := c.outAt[id]
		switch {
		case c.since.IsZero() || c.since.After(at):
		case !ok && ended.Sub(at) < grace:
			// The page has had no time for it.
		case !ok:
			missed++
		default:
			// The truth is known to the millisecond.
			delays = append(delays, max(0, seen.Sub(at)))
		}
	}
	return delays, missed
}

// percentileOf returns what so many percent do not exceed, in milliseconds.
func percentileOf(sorted []time.Duration, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := min(len(sorted)-1, int(math.Ceil(float64(len(sorted))*p/100))-1)
	return math.Round(float64(sorted[max(0, i)].Microseconds())/10) / 100
}
