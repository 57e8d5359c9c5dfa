package main

import (
	"github.com/penstock-go/penstock/dashboard"
	"github.com/penstock-go/penstock/pubsub/nats"
	"github.com/penstock-go/penstock/pubsub/redis"
)

// dashboard is the page at /dashboard/ of the debug address. It names users, which only
// operators on this machine may see. Nothing can be controlled: the stages are the
// program's own, not steps of a pipeline.Pipeline.
func (a *app) dashboard() (*dashboard.Dashboard, error) {
	parts := []dashboard.Part{dashboard.Stages("pushes", a.pipeline), dashboard.Sockets("sockets", a.endpoint)}
	if a.cluster.hub != nil {
		parts = append(parts, dashboard.Topics("topics", a.cluster.hub))
	}
	switch remote := a.cluster.remote.(type) {
	case *nats.Remote:
		parts = append(parts, dashboard.Nodes("NATS", remote))
	case *redis.Remote:
		parts = append(parts, dashboard.Nodes("Redis", remote))
	}
	return dashboard.New(dashboard.Config{Title: "pushpipeline", Logger: a.log}, parts...)
}
