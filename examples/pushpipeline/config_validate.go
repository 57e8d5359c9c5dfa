package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// validate returns an error that names all wrong options, not only the first.
func (c config) validate() error {
	within := func(name string, value, low, high int) error {
		if value < low || value > high {
			return fmt.Errorf("-%s %d is not allowed: from %d to %d", name, value, low, high)
		}
		return nil
	}
	positive := func(name string, d time.Duration) error {
		if d < 0 {
			return fmt.Errorf("-%s %s is not allowed: 0 or more", name, d)
		}
		return nil
	}
	address := func(name, value string) error {
		_, port, err := net.SplitHostPort(value)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return fmt.Errorf("-%s %q is not a host:port", name, value)
		}
		return nil
	}
	// All faults are reported at once.
	errs := []error{
		within("workers", c.Workers, 1, 100_000),
		within("max-connections", c.MaxConnections, 1, math.MaxInt32),
		within("max-per-address", c.MaxPerAddress, 1, math.MaxInt32),
		within("max-per-user", c.MaxPerUser, 1, math.MaxInt32),
		within("connect-rate", c.ConnectRate, 1, math.MaxInt32),
		within("partitions", c.Parts, 1, 1000),
		within("users", c.Users, 1, 1_000_000),
		within("clients", c.Clients, 0, c.Users),
		within("buffer", c.Buffer, 1, 100_000_000),
		within("user-buffer", c.UserBuffer, 1, 100_000_000),
		within("buffer-mib", c.BufferMiB, 1, 1_000_000),
		within("retention-mib", c.RetentionMiB, 8, 1_000_000),
		positive("work", c.Work), positive("grace", c.Grace), positive("duration", c.Duration), positive("drain", c.Drain),
		address("addr", c.Addr),
	}
	switch c.Source {
	case "kafka", "memory":
	default:
		errs = append(errs, fmt.Errorf("-source %q is not allowed: kafka or memory", c.Source))
	}
	if c.Source == "kafka" && c.Brokers == "" && c.RetentionMiB < c.Parts {
		errs = append(errs, fmt.Errorf("-retention-mib %d is not allowed with -partitions %d: 1 or more for each", c.RetentionMiB, c.Parts))
	}
	switch c.Overflow {
	case "pause", "drop":
	default:
		errs = append(errs, fmt.Errorf("-overflow %q is not allowed: pause or drop", c.Overflow))
	}
	if c.Session < time.Second || c.Session > 5*time.Minute {
		errs = append(errs, fmt.Errorf("-session-timeout %s is not allowed: from 1s to 5m", c.Session))
	}
	if c.Commit < 10*time.Millisecond || c.Commit > time.Minute {
		errs = append(errs, fmt.Errorf("-commit-interval %s is not allowed: from 10ms to 1m", c.Commit))
	}
	if c.Work > time.Minute {
		errs = append(errs, fmt.Errorf("-work %s is not allowed: from 0 to 1m", c.Work))
	}
	if c.SVG != "" && !c.Fairness {
		errs = append(errs, errors.New("-svg needs -fairness"))
	}
	if c.Fairness {
		errs = append(errs, c.validateFairness())
	}
	if c.Source == "memory" && c.Brokers != "" {
		errs = append(errs, errors.New("-brokers needs -source kafka"))
	}
	if c.Source == "kafka" && (c.Topic == "" || c.Group == "") {
		errs = append(errs, errors.New("-topic and -group must not be empty"))
	}
	// Written as a negation, so that NaN is refused too.
	if !(c.Rate >= 0 && c.Rate <= 10_000_000) {
		errs = append(errs, fmt.Errorf("-rate %v is not allowed: from 0 to 10000000", c.Rate))
	}
	if !(c.PushRate >= 0 && c.PushRate <= 10_000_000) {
		errs = append(errs, fmt.Errorf("-push-rate %v is not allowed: from 0 to 10000000", c.PushRate))
	}
	if !(c.HeavyShare >= 0 && c.HeavyShare <= 1) {
		errs = append(errs, fmt.Errorf("-heavy-share %v is not allowed: from 0 to 1", c.HeavyShare))
	}
	if c.StatsD != "" {
		errs = append(errs, address("statsd", c.StatsD))
	}
	for broker := range strings.SplitSeq(c.Brokers, ",") {
		if c.Brokers != "" {
			errs = append(errs, address("brokers", broker))
		}
	}
	for _, name := range []string{"addr", "push-addr"} {
		errs = append(errs, c.validatePublic(name, map[string]string{"addr": c.Addr, "push-addr": c.PushAddr}[name]))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		errs = append(errs, errors.New("-tls-cert and -tls-key go together"))
	}
	if c.TokenAge < 2*time.Second || c.TokenAge > 24*time.Hour {
		errs = append(errs, fmt.Errorf("-token-age %s is not allowed: from 2s to 24h", c.TokenAge))
	}
	if c.Clients > c.MaxConnections {
		errs = append(errs, fmt.Errorf("-clients %d exceeds -max-connections %d", c.Clients, c.MaxConnections))
	}
	if _, err := websocket.CheckHost(http.NotFoundHandler(), append(c.names(), "localhost")...); err != nil {
		errs = append(errs, fmt.Errorf("-host: %w", err))
	}
	for network := range strings.SplitSeq(c.Proxies, ",") {
		if _, err := netip.ParsePrefix(network); err != nil && c.Proxies != "" {
			errs = append(errs, fmt.Errorf("-proxies %q is not a network such as 10.0.0.0/8", network))
		}
	}
	if c.PushAddr != "" && c.PushAddr != "off" {
		errs = append(errs, address("push-addr", c.PushAddr))
	}
	at := c.PushAddr
	if at == "" {
		at = c.Addr
	}
	if host, _, err := net.SplitHostPort(at); err == nil && !loopback(host) && c.PushKeyFile == "" && c.PushJWTFile == "" {
		errs = append(errs, fmt.Errorf("POST /push on %q, which is not a loopback interface, needs -push-key-file or -push-jwt-file; -push-addr moves it, or off", at))
	}
	if c.DebugAddr != "off" {
		errs = append(errs, address("debug-addr", c.DebugAddr))
		if host, _, err := net.SplitHostPort(c.DebugAddr); err == nil && !loopback(host) {
			errs = append(errs, fmt.Errorf("-debug-addr %q is not on a loopback interface", c.DebugAddr))
		}
	}
	if _, err := logLevel(c.LogLevel); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// validatePublic returns what a listener at a public address misses.
func (c config) validatePublic(name, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil || loopback(host) {
		return nil // none, or reported already
	}
	if !c.Plaintext && c.TLSCert == "" {
		return fmt.Errorf("-%s %q is not on a loopback interface: tokens would pass in the clear without -tls-cert; -plaintext says that a proxy in front ends TLS", name, address)
	}
	if len(c.hosts(address)) == 0 {
		return fmt.Errorf("-%s %q needs -host, the names by which clients ask for it", name, address)
	}
	return nil
}

// names returns the names of -host.
func (c config) names() []string {
	return strings.FieldsFunc(c.Hosts, func(r rune) bool { return r == ',' || r == ' ' })
}

// proxies returns the networks of -proxies, which are valid.
func (c config) proxies() (all []netip.Prefix) {
	for network := range strings.SplitSeq(c.Proxies, ",") {
		if p, err := netip.ParsePrefix(network); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// scheme is that of the URLs of -addr.
func (c config) scheme() string {
	if c.TLSCert != "" {
		return "https://"
	}
	return "http://"
}

// loopback reports whether a host is this machine. An empty host means all
// interfaces, and is not.
func loopback(host string) bool {
	// A name is not looked up: it could change between this check and the listening.
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// bufferBytes is how many bytes of pushes this process holds at once.
func (c config) bufferBytes() int64 { return int64(c.BufferMiB) << 20 }

// retentionBytes is how many bytes the broker inside this process keeps of each
// partition.
func (c config) retentionBytes() int64 { return int64(c.RetentionMiB) << 20 / int64(c.Parts) }

// userBytes is how many bytes of one user's pushes this process holds at once.
func (c config) userBytes() int64 { return max(c.bufferBytes()/8, 2*maxData) }

// room bounds what the memory source holds.
func (c config) room() roomLimits {
	if c.Overflow == "drop" {
		// What the dispatcher holds comes on top: it makes room for itself.
		return roomLimits{pushes: c.Buffer + 100_000, bytes: c.bufferBytes() + 64<<20, userPushes: noLimit, userBytes: noLimit}
	}
	return roomLimits{pushes: c.Buffer, bytes: c.bufferBytes(), userPushes: c.UserBuffer, userBytes: c.userBytes()}
}

// meanSize is taken for the size of a push when it is decided how many are read ahead,
// since they are asked for by number.
const meanSize = 8 << 10

// readAhead is how many pushes are read from Kafka before they can be delivered.
func (c config) readAhead() int {
	return int(min(max(c.bufferBytes()/meanSize, 1000), 100_000))
}

// window is how many pushes of a partition may be unfinished, so that one that cannot be
// delivered holds up its own partition and not all.
func (c config) window() int {
	if c.Overflow == "drop" {
		return 0 // the default: a flood is discarded
	}
	return max(c.readAhead()/c.Parts, 128)
}
