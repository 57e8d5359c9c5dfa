package main

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/penstock-go/penstock/examples/internal/nodes"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// validate returns an error that names all wrong options, not only the first.
func (c config) validate() error {
	// within and between check a number and a duration; high is allowed too.
	within := func(name string, value, low, high int) error {
		if value < low || value > high {
			return fmt.Errorf("-%s %d is not allowed: from %d to %d", name, value, low, high)
		}
		return nil
	}
	between := func(name string, d, low, high time.Duration) error {
		switch {
		case d >= low && d <= high:
			return nil
		case high == math.MaxInt64: // no bound, which the message must not name
			return fmt.Errorf("-%s %s is not allowed: %s or more", name, d, short(low))
		}
		return fmt.Errorf("-%s %s is not allowed: from %s to %s", name, d, short(low), short(high))
	}
	// All faults are reported at once.
	errs := []error{
		within("workers", c.Workers, 1, maxWorkers),
		within("max-connections", c.MaxConnections, 1, math.MaxInt32),
		within("max-per-address", c.MaxPerAddress, 1, math.MaxInt32),
		within("max-per-user", c.MaxPerUser, 1, math.MaxInt32),
		within("connect-rate", c.ConnectRate, 1, math.MaxInt32),
		within("partitions", c.Parts, 1, 1000),
		within("users", c.Users, 1, 1_000_000),
		c.validateClients(),
		c.validateCluster(),
		within("buffer", c.Buffer, 1, 100_000_000),
		within("user-buffer", c.UserBuffer, 1, 100_000_000),
		within("buffer-mib", c.BufferMiB, 1, 1_000_000),
		within("retention-mib", c.RetentionMiB, 8, 1_000_000),
		within("gc-floor-mib", c.GCFloorMiB, 0, 1_000_000),
		between("work", c.Work, 0, time.Minute), between("grace", c.Grace, 0, 24*time.Hour), between("drain", c.Drain, 0, 24*time.Hour),
		between("session-timeout", c.Session, time.Second, 5*time.Minute), between("commit-interval", c.Commit, 10*time.Millisecond, time.Minute),
		between("linger", c.Linger, time.Millisecond, time.Second),
		between("token-age", c.TokenAge, 2*time.Second, 24*time.Hour), between("duration", c.Duration, 0, math.MaxInt64),
		nodes.Address("addr", c.Addr),
	}
	switch c.Source {
	case "kafka", "memory":
	default:
		errs = append(errs, fmt.Errorf("-source %q is not allowed: kafka or memory", c.Source))
	}
	// The broker of this process divides what it keeps between the partitions.
	if c.Source == "kafka" && c.Brokers == "" && c.RetentionMiB < c.Parts {
		errs = append(errs, fmt.Errorf("-retention-mib %d is not allowed with -partitions %d: 1 or more for each", c.RetentionMiB, c.Parts))
	}
	switch c.Overflow {
	case "pause", "drop":
	default:
		errs = append(errs, fmt.Errorf("-overflow %q is not allowed: pause or drop", c.Overflow))
	}
	errs = append(errs, c.validateEventLoop(runtime.GOOS))
	if c.SVG != "" && !c.Fairness {
		errs = append(errs, errors.New("-svg needs -fairness"))
	}
	if c.Fairness {
		errs = append(errs, c.validateFairness())
	}
	if c.FullGrace && (c.Source != "kafka" || c.Grace == 0) {
		errs = append(errs, errors.New("-full-grace needs -source kafka and a -grace"))
	}
	if c.Source == "memory" && c.Brokers != "" {
		errs = append(errs, errors.New("-brokers needs -source kafka"))
	}
	if c.Source == "kafka" && (c.Topic == "" || c.Group == "") {
		errs = append(errs, errors.New("-topic and -group must not be empty"))
	}
	if c.Topic != "" && !validTopic(c.Topic) {
		errs = append(errs, fmt.Errorf("-topic %q is not allowed: 1 to 249 letters, digits, '.', '_' and '-'", c.Topic))
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
	errs = append(errs, c.OTLP.Check())
	if c.StatsD != "" {
		errs = append(errs, nodes.Address("statsd", c.StatsD))
	}
	for broker := range strings.SplitSeq(c.Brokers, ",") {
		if c.Brokers != "" {
			errs = append(errs, nodes.Address("brokers", broker))
		}
	}
	for _, name := range []string{"addr", "push-addr"} {
		errs = append(errs, c.validatePublic(name, map[string]string{"addr": c.Addr, "push-addr": c.PushAddr}[name]))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		errs = append(errs, errors.New("-tls-cert and -tls-key go together"))
	}
	// By the parser that will read them. localhost stands for no name at all, which is
	// refused elsewhere if the address requires one.
	if _, err := websocket.CheckHost(http.NotFoundHandler(), append(c.names(), "localhost")...); err != nil {
		errs = append(errs, fmt.Errorf("-host: %w", err))
	}
	for network := range strings.SplitSeq(c.Proxies, ",") {
		if _, err := netip.ParsePrefix(network); err != nil && c.Proxies != "" {
			errs = append(errs, fmt.Errorf("-proxies %q is not a network such as 10.0.0.0/8", network))
		}
	}
	if c.PushAddr != "" && c.PushAddr != "off" {
		errs = append(errs, nodes.Address("push-addr", c.PushAddr))
	}
	// POST /push shares the listener of the clients unless it has its own.
	at := c.PushAddr
	if at == "" {
		at = c.Addr
	}
	if host, ok := nodes.SplitAddress(at); ok && !nodes.Loopback(host) && c.PushKeyFile == "" && c.PushJWTFile == "" {
		errs = append(errs, fmt.Errorf("POST /push on %q, which is not a loopback interface, needs -push-key-file or -push-jwt-file; -push-addr moves it, or off", at))
	}
	if c.DebugAddr != "off" {
		errs = append(errs, nodes.Address("debug-addr", c.DebugAddr))
		// It shows stacks and heaps and revokes tokens, without credentials.
		if host, ok := nodes.SplitAddress(c.DebugAddr); ok && !nodes.Loopback(host) {
			errs = append(errs, fmt.Errorf("-debug-addr %q is not on a loopback interface", c.DebugAddr))
		}
	}
	if c.Control && (c.DebugAddr == "off" || c.Fairness) {
		errs = append(errs, errors.New("-dashboard-control needs -debug-addr, and goes without -fairness"))
	}
	if _, err := logLevel(c.LogLevel); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// validateClients returns why there cannot be so many clients. Each of the first users
// has one at most.
func (c config) validateClients() error {
	switch {
	case c.Clients < 0 || c.Clients > c.Users:
		return fmt.Errorf("-clients %d is not allowed: from 0 to -users, which is %d, or %d for as many", c.Clients, c.Users, perUser)
	case c.Clients > c.MaxConnections && c.MaxConnections > 0:
		return fmt.Errorf("-clients %d exceeds -max-connections %d", c.Clients, c.MaxConnections)
	}
	return nil
}

// validatePublic returns what a listener at a public address misses.
func (c config) validatePublic(name, address string) error {
	host, ok := nodes.SplitAddress(address)
	if !ok || nodes.Loopback(host) {
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

// short is a duration without the zeros at its end.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// validTopic reports whether Kafka accepts the name of a topic.
func validTopic(name string) bool {
	for _, c := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", c) {
			return false
		}
	}
	return len(name) >= 1 && len(name) <= 249 && name != "." && name != ".."
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

// validateEventLoop refuses -event-loop where connections would be as without it.
func (c config) validateEventLoop(system string) error {
	switch {
	case !c.EventLoop:
		return nil
	case system != "linux":
		return errors.New("-event-loop needs Linux")
	case c.TLSCert != "":
		return errors.New("-event-loop does not go with -tls-cert: only plain connections are in event loops; a proxy in front can end TLS, see -plaintext")
	}
	return nil
}
