//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// measure makes all measurements and prints the table.
func measure(ctx context.Context, o options, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	where := machine()
	var rows []row
	var failures []error
	for _, backplane := range o.backplanes {
		progress("-- %s: three nodes", backplane)
		some, err := measureOn(ctx, o, backplane)
		rows = append(rows, some...)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", backplane, err))
		}
	}
	where += ", " + loadNow() + " at the end"
	// What was measured is printed also if the rest has failed.
	if o.json {
		failures = append(failures, document(out, where, rows))
	} else {
		_, err := fmt.Fprintf(out, "%s\n\n", where)
		failures = append(failures, err, table(out, rows))
	}
	return errors.Join(failures...)
}

// measureOn makes the measurements of one backplane.
func measureOn(ctx context.Context, o options, backplane string) (rows []row, err error) {
	c, err := openCluster(ctx, o, backplane)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"pushes", c.measurePushes},
		{"sockets", c.measureSockets},
		{"nodes", c.measureNodes},
		{"rooms", c.measureRooms},
		{"presence", c.measurePresence},
		{"topics", c.measureTopics},
	} {
		if !slices.Contains(o.parts, part.name) {
			continue
		}
		// The other parts are measured also if one has failed.
		if e := part.run(ctx); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", part.name, e))
		}
	}
	return c.rows, err
}
