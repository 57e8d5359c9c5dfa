package main

import (
	"context"
	"errors"
	"io"
)

func runGrowth(ctx context.Context, o options, b *binaries, out io.Writer) error {
	return errors.New("growth: not yet")
}
