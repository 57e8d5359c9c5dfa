package kafkatest

import (
	"net"
	"testing"

	"github.com/penstock-go/penstock/internal/ports"
)

// TestRealTakenPort: a program that takes one of a cluster's ports after they were found free
// makes it start with others.
func TestRealTakenPort(t *testing.T) {
	t.Parallel()
	var first []int
	taken := func(r *ports.Range) {
		if first = append(first, r.First); len(first) > 1 {
			return
		}
		l, err := net.Listen("tcp", r.Addr(9*4+1)) // that of SASL over TLS of broker 2
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	c := Start(t, Config{Brokers: 2, taken: taken})
	if len(first) != 2 || first[0] == first[1] || len(c.Addrs()) != 2 {
		t.Errorf("tried the ports from %v, has %v", first, c.Addrs())
	}
	c.Topic(2)
}
