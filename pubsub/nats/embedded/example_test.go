package embedded_test

import (
	"fmt"

	"github.com/penstock-go/penstock/pubsub/nats/embedded"
)

// Two servers that are one cluster.
func ExampleStart() {
	first, err := embedded.Start(embedded.Config{ClusterListen: "127.0.0.1:0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer first.Close()
	second, err := embedded.Start(embedded.Config{Join: []string{first.ClusterAddr()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer second.Close()
	fmt.Println(second.Routes())
	// Output: 1
}
