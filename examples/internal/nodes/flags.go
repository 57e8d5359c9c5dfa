// Package nodes has what the examples share of their flags that make one program of several
// processes: -cluster, -cluster-listen, -join, -cluster-secret-file and -node.
package nodes

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// Embedded is the value of -cluster for a server in this process.
const Embedded = "embedded"

// Flags are the values of the flags.
type Flags struct {
	Cluster    string
	Listen     string // -cluster-listen
	Join       string
	SecretFile string // -cluster-secret-file
	Node       string
}

// Check returns why these processes cannot form a cluster: all faults, joined.
func (f Flags) Check() error {
	var errs []error
	switch {
	case f.Cluster == "", f.Cluster == Embedded:
	case hasScheme(f.Cluster, "nats", "tls"):
		errs = append(errs, natsURLs(f.Cluster))
	case f.OnRedis():
		_, err := RedisOptions(f.Cluster)
		errs = append(errs, err)
	default:
		errs = append(errs, errors.New("-cluster is neither embedded nor the nats://host:port or redis://host:port of a server"))
	}
	for _, option := range [][2]string{{"cluster-listen", f.Listen}, {"join", f.Join}, {"cluster-secret-file", f.SecretFile}} {
		if option[1] != "" && f.Cluster != Embedded {
			errs = append(errs, fmt.Errorf("-%s needs -cluster embedded", option[0]))
		}
	}
	if f.Node != "" && f.Cluster == "" {
		errs = append(errs, errors.New("-node needs -cluster"))
	}
	for _, join := range List(f.Join) {
		errs = append(errs, Address("join", join))
	}
	if f.Listen != "" {
		errs = append(errs, Address("cluster-listen", f.Listen))
		if host, ok := SplitAddress(f.Listen); ok && !Loopback(host) && f.SecretFile == "" {
			errs = append(errs, fmt.Errorf("-cluster-listen %q, which is not on a loopback interface, needs -cluster-secret-file: anything that joins reads and sends messages", f.Listen))
		}
	}
	return errors.Join(errs...)
}

// OnRedis reports whether -cluster is a Redis.
func (f Flags) OnRedis() bool { return hasScheme(f.Cluster, "redis", "rediss") }

// RedisOptions reads the URL of a Redis, with its database and all options of its query. The error
// has no part of it: what cannot be parsed may be a part of the password.
func RedisOptions(text string) (*goredis.UniversalOptions, error) {
	o, err := goredis.ParseURL(text)
	if err != nil {
		return nil, errors.New("-cluster is not the URL of a Redis, redis://user:password@host:port")
	}
	return &goredis.UniversalOptions{
		Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		DB: o.DB, Protocol: o.Protocol, ClientName: o.ClientName,
		MaxRetries: o.MaxRetries, MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		PoolFIFO: o.PoolFIFO, PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout, MaxConcurrentDials: o.MaxConcurrentDials,
		MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns, MaxActiveConns: o.MaxActiveConns,
		PipelinePoolSize: o.PipelinePoolSize, PipelineReadBufferSize: o.PipelineReadBufferSize,
		PipelineWriteBufferSize: o.PipelineWriteBufferSize, ConnMaxIdleTime: o.ConnMaxIdleTime,
		ConnMaxLifetime: o.ConnMaxLifetime, ConnMaxLifetimeJitter: o.ConnMaxLifetimeJitter,
	}, nil
}

// natsURLs returns why text is not a list of URLs of NATS servers. The error has no part of it:
// what cannot be parsed may be a part of the password.
func natsURLs(text string) error {
	for server := range strings.SplitSeq(text, ",") {
		if server = strings.TrimSpace(server); !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		if u, err := url.Parse(server); err != nil || u.Host == "" {
			return errors.New("-cluster is not the URL of a NATS server, nats://user:password@host:port")
		}
	}
	return nil
}

// hasScheme reports whether text is a URL of one of these schemes.
func hasScheme(text string, schemes ...string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && slices.Contains(schemes, scheme)
}

// List reads what is separated by commas or spaces.
func List(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// Address returns why the value of a flag is not a host:port. The host may be empty, for all
// interfaces.
func Address(flag, value string) error {
	if _, ok := SplitAddress(value); !ok {
		return fmt.Errorf("-%s %q is not a host:port with a port from 0 to 65535", flag, value)
	}
	return nil
}

// SplitAddress returns the host of a host:port, and whether value is one.
func SplitAddress(value string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		return "", false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return host, err == nil
}

// Loopback reports whether a host is this machine. An empty host means all interfaces, and is not.
func Loopback(host string) bool {
	// A name is not looked up: it could change between this check and the listening.
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
