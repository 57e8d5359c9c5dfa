package main

import (
	"errors"

	"github.com/penstock-go/penstock/examples/internal/nodes"
)

// clusterFlags are the flags of a cluster.
func (c config) clusterFlags() nodes.Flags {
	return nodes.Flags{Cluster: c.Cluster, Listen: c.ClusterListen, Join: c.Join, SecretFile: c.ClusterSecretFile, Node: c.Node}
}

// validateCluster returns why these nodes cannot form a cluster.
func (c config) validateCluster() error {
	err := c.clusterFlags().Check()
	if c.Cluster != "" && c.Database == "" {
		err = errors.Join(err, errors.New("-cluster needs -database: nodes with databases of their own are not one shop"))
	}
	if c.Cluster != "" && c.SecretFile == "" {
		err = errors.Join(err, errors.New("-cluster needs -secret-file: a cart of one node must be valid at the others"))
	}
	return err
}
