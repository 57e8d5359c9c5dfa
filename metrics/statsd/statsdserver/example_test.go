package statsdserver_test

import (
	"fmt"

	"github.com/penstock-go/penstock/metrics/statsd/statsdserver"
)

func ExampleNewAggregate() {
	a := statsdserver.NewAggregate(0)
	a.Add([]byte("channel_join:1|c|#status:success,channel:user"))
	a.Add([]byte("pipeline.push_delivered:1.5|ms\npipeline.push_delivered:2.5|ms"))
	for _, s := range a.Snapshot().Series {
		fmt.Println(s.Kind, s.Name, s.Tags, s.Value, s.Life.Count, s.Life.Max)
	}
	// Output:
	// counter channel_join channel:user,status:success 1 0 0s
	// timer pipeline.push_delivered  0 2 2.5ms
}
