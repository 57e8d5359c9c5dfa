//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// The processes are driven over standard input and output: a line of JSON asks for
// something, a line of JSON is the reply. A process ends with its standard input.

type request struct {
	Do   string          `json:"do"`
	Args json.RawMessage `json:"args,omitempty"`
}

type reply struct {
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// handler does one thing that is asked for.
type handler func(ctx context.Context, args json.RawMessage) (any, error)

// on makes a handler of a function with typed arguments.
func on[A, R any](f func(ctx context.Context, args A) (R, error)) handler {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var args A
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &args); err != nil {
				return nil, err
			}
		}
		return f(ctx, args)
	}
}

// none is an argument or a result of nothing.
type none struct{}

// child is the process of a node or of the clients, until in ends.
func child(role string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var handlers map[string]handler
	var end func()
	switch role {
	case "node":
		n := &node{}
		handlers, end = n.handlers(), n.close
	case "clients":
		c := &clients{}
		handlers, end = map[string]handler{"connect": on(c.connect), "count": on(c.count), "usage": on(usage)}, c.close
	default:
		return fmt.Errorf("-child is %q: it is for the program itself", role)
	}
	defer end()
	lines := bufio.NewReader(in)
	replies := json.NewEncoder(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var q request
		if err := json.Unmarshal(line, &q); err != nil {
			return err
		}
		if err := replies.Encode(handle(ctx, handlers, q)); err != nil {
			return err
		}
	}
}

// handle makes the reply to a request.
func handle(ctx context.Context, handlers map[string]handler, q request) (r reply) {
	h := handlers[q.Do]
	if h == nil {
		return reply{Error: fmt.Sprintf("nothing is named %q", q.Do)}
	}
	result, err := h(ctx, q.Args)
	if err == nil {
		r.Result, err = json.Marshal(result)
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}
