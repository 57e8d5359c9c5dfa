//go:build linux

package main

import (
	"context"
	"fmt"
)

// echo lets the clients send in turn, so many each, and waits for the replies. The latency
// is that of the whole way: there, through the handler, and back.
func (b *bench) echo(ctx context.Context, rounds, rate int) (delivered, error) {
	if rate <= 0 {
		return delivered{}, fmt.Errorf("-rate is %d, allowed for echo: 1 or more", rate)
	}
	total := int64(rounds * b.o.conns)
	return b.measure(ctx, total, rate, func(context.Context) (posted, error) {
		b.fleet.Echo(rounds, rate)
		err := b.fleet.Wait(ctx, b.o.quiet, "messages sent", total, b.fleet.Sent)
		return posted{Count: total, Micros: b.fleet.SentIn().Microseconds()}, err
	})
}
