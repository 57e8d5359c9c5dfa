package dashboard

import (
	"context"
	"fmt"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/pipeline"
)

// Part is one thing on the page. Make it by a function of this package, or as a literal
// for anything that the package does not know.
type Part struct {
	// Kind selects how the page shows the part: a kind that it does not know is a table of
	// the snapshot's fields.
	Kind string
	// Name is the heading.
	Name string
	// Snapshot returns what is shown, which must have a JSON form and not change any more. It
	// is called on a goroutine of its own, never twice at the same time, and must return soon
	// after ctx is done: until then the page shows what was before.
	Snapshot func(ctx context.Context) any

	pipeline *pipeline.Pipeline // what is controlled
	controls []Control          // of Stages
	absent   []string           // stages of controls that the pipeline did not have
	letters  *letters
	err      error // of the function that has made it
}

// Snapshotter is what has a snapshot, such as a *websocket.Endpoint or a *pubsub.Hub.
type Snapshotter[S any] interface{ Snapshot() S }

// Pipeline shows a pipeline, with its steps, stages and subscriptions, and controls it.
// Kafka partitions, fair dispatchers, pools and batches are shown with their stages.
func Pipeline(p *pipeline.Pipeline) Part {
	if p == nil {
		return Part{err: needs("a *pipeline.Pipeline")}
	}
	return Part{Kind: "pipeline", pipeline: p, Snapshot: func(ctx context.Context) any { return p.Snapshot(ctx) }}
}

// Sockets shows a *websocket.Endpoint.
func Sockets[S any](name string, endpoint Snapshotter[S]) Part { return of("sockets", name, endpoint) }

// Topics shows a *pubsub.Hub or a *pubsub.Memory.
func Topics[S any](name string, hub Snapshotter[S]) Part { return of("topics", name, hub) }

// Presence shows a *presence.Tracker.
func Presence[S any](name string, tracker Snapshotter[S]) Part { return of("presence", name, tracker) }

// Nodes shows the remote of a cluster, such as a *nats.Remote or a *redis.Remote.
func Nodes[S any](name string, remote Snapshotter[S]) Part { return of("nodes", name, remote) }

// of returns a part that shows the snapshots of from.
func of[S any](kind, name string, from Snapshotter[S]) Part {
	if option.IsNil(from) {
		return Part{err: needs("a value with a method Snapshot")}
	}
	return Part{Kind: kind, Name: name, Snapshot: func(context.Context) any { return from.Snapshot() }}
}

// missing is the error of a part that was made of nil.
type missing string

func needs(what string) error { return missing(what) }

// Error implements error.
func (m missing) Error() string { return string(m) }

// check refuses a part that cannot be shown.
func (p Part) check(i int) error {
	name := fmt.Sprintf("parts[%d]", i)
	switch {
	case p.err != nil:
		return owner.Refuse(name, nil, p.err.Error())
	case p.Kind == "":
		return owner.Refuse(name+".Kind", p.Kind, "a word")
	case p.Snapshot == nil:
		return owner.Refuse(name+".Snapshot", nil, "a function")
	}
	return nil
}
