// Command api posts each line of its standard input, "tenant body", to the URL that is its
// argument: no more than 100 a second. A tenant whose name begins with "gold" gets four
// times as much of that as each other.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
)

func tenant(line string) string { return line[:strings.IndexByte(line+" ", ' ')] }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	p := pipeline.New(pipeline.Config{Name: "api", Retry: retry.Policy{MaxAttempts: 10}})
	lines := pipeline.FromSeq(p, func(yield func(string) bool) {
		for in := bufio.NewScanner(os.Stdin); in.Scan() && yield(in.Text()); {
		}
	}, pipeline.SourceConfig[string]{})
	shared := pipeline.Fair(lines, tenant, fair.Config[string]{
		UnorderedInFlight: 100, Weights: []int{1, 4},
		Class: func(line string) int { return strings.Count(line[:min(4, len(line))], "gold") },
	})
	pipeline.Each(shared, func(ctx context.Context, line string) error {
		req, err := http.NewRequestWithContext(ctx, "POST", os.Args[1], strings.NewReader(line))
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode < 300 {
			return nil
		}
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		return retry.After(fmt.Errorf("%s", res.Status), time.Duration(seconds)*time.Second)
	}, pipeline.StepConfig[string]{Workers: 4, Window: 4, Rate: pipeline.Rate{PerSecond: 100, Burst: 4}})
	if err := p.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
