// Command api posts each line of its standard input, "tenant body", to its argument, at most
// 100 a second. A tenant whose name begins with "gold" gets four times as much as others.
package main

import (
	"bufio"
	"context"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/retry/httpretry"
)

func main() {
	p := pipeline.New(pipeline.Config{Name: "api", Retry: retry.Policy{MaxAttempts: 10}})
	lines := pipeline.FromScanner(p, bufio.NewScanner(os.Stdin), pipeline.SourceConfig[string]{})
	tenant := func(line string) string { return strings.SplitN(line, " ", 2)[0] }
	shared := pipeline.Fair(lines, tenant, fair.Config[string]{UnorderedInFlight: 100, Weights: []int{1, 4},
		Class: func(line string) int { return strings.Count(line[:min(4, len(line))], "gold") }})
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
		return httpretry.Status(res)
	}, pipeline.StepConfig[string]{Workers: 4, Window: 4, Rate: pipeline.Rate{PerSecond: 100, Burst: 4}})
	if err := p.RunUntilSignal(); err != nil {
		log.Fatal(err)
	}
}
