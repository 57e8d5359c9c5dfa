package websocket_test

import "testing"

func securityRates(t *testing.T)       {}
func securityTopics(t *testing.T)      {}
func securitySlowReaders(t *testing.T) {}
func securityOutput(t *testing.T)      {}
func securityPanics(t *testing.T)      {}
