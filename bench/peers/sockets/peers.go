//go:build linux

package main

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
)

// peer is a server that takes part.
type peer struct {
	name     string
	module   string // its version is looked up in the build; "" for what is ours
	what     string
	protocol protocol
	make     func() (server, error)
}

// tunedDelay is how long the tuned Centrifuge gathers what it writes.
const tunedDelay = 100 * time.Millisecond

// peers are in the order of the table. The first one is the limit.
var peers = []peer{
	{"bare", "", "the limit: epoll loops of our own that write frames made beforehand, with one write for all that waits", plain, newBare(64 << 10)},
	{"bare-16k", "", "the same, but with at most 16 KiB of a room in a write, as Penstock has when it bounds the latency", plain, newBare(16 << 10)},
	{"penstock", "", "channels with the library's defaults, but queues for any burst", phoenix, newPenstock(false)},
	{"penstock-loop", "", "the same in event loops, EndpointConfig.EventLoop", phoenix, newPenstock(true)},
	{"centrifuge", "github.com/centrifugal/centrifuge", "defaults", centrifugeJSON, newCentrifuge(0)},
	{"centrifuge-tuned", "github.com/centrifugal/centrifuge", fmt.Sprintf("writes gathered for %v by a timer, any number in a frame, "+
		"shared write buffers, commands off the read loop", tunedDelay), centrifugeJSON, newCentrifuge(tunedDelay)},
	{"gws", "github.com/lxzan/gws", "defaults; Broadcaster and WriteAsync, topics in a map", plain, newGWS},
	{"nbio", "github.com/lesismal/nbio", "defaults, which are its epoll loops; WriteMessage, topics in a map", plain, newNbio},
}

// choose returns those of all that a list of names means, all for an empty one.
func choose[T any](kind string, all []T, name func(T) string, names string) ([]T, error) {
	if names == "" {
		return all, nil
	}
	var chosen []T
	for wanted := range strings.SplitSeq(names, ",") {
		before := len(chosen)
		var known []string
		for _, x := range all {
			known = append(known, name(x))
			if name(x) == wanted {
				chosen = append(chosen, x)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("%s has no %q, allowed: %s", kind, wanted, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

func peerName(p peer) string { return p.name }

// kind is what p is in the comparison.
func (p peer) kind() report.Kind {
	switch p.name {
	case "penstock", "penstock-loop":
		return report.Ours
	case "bare", "bare-16k":
		return report.Limit
	}
	return report.Peer
}

// version is that of the peer's module in this build.
func (p peer) version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == p.module {
				return d.Version
			}
		}
	}
	return ""
}
