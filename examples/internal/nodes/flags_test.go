package nodes

import (
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		flags Flags
		want  string // of the error; empty: none
	}{
		{Flags{}, ""},
		{Flags{Cluster: Embedded, Listen: "127.0.0.1:0", Join: "a:1, [::1]:2", Node: "n"}, ""},
		{Flags{Cluster: Embedded, Listen: ":6222", SecretFile: "file"}, ""},
		{Flags{Cluster: "nats://a:1,b:2"}, ""},
		{Flags{Cluster: "rediss://user:word@a:1"}, ""},
		{Flags{Cluster: "elsewhere"}, "neither embedded"},
		{Flags{Cluster: "nats://"}, "not the URL of a NATS server"},
		{Flags{Cluster: "redis://a:1:secret"}, "not the URL of a Redis"},
		{Flags{Cluster: "nats://a:1", Listen: "127.0.0.1:0"}, "-cluster-listen needs -cluster embedded"},
		{Flags{Join: "a:1"}, "-join needs -cluster embedded"},
		{Flags{SecretFile: "file"}, "-cluster-secret-file needs -cluster embedded"},
		{Flags{Node: "n"}, "-node needs -cluster"},
		{Flags{Cluster: Embedded, Join: "a"}, `-join "a" is not a host:port`},
		{Flags{Cluster: Embedded, Listen: "127.0.0.1:70000"}, `-cluster-listen "127.0.0.1:70000" is not a host:port`},
		{Flags{Cluster: Embedded, Listen: ":6222"}, "needs -cluster-secret-file"},
	} {
		err := test.flags.Check()
		if (err == nil) != (test.want == "") || err != nil && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret\"")) {
			t.Errorf("%+v: %v, want %q", test.flags, err, test.want)
		}
	}
}

// The timeouts of a Redis URL reach the client.
func TestRedisOptions(t *testing.T) {
	o, err := RedisOptions("redis://user:word@a:1?dial_timeout=7s&read_timeout=8s&write_timeout=9s")
	if err != nil || o.Addrs[0] != "a:1" || o.Username != "user" || o.Password != "word" ||
		o.DialTimeout != 7*time.Second || o.ReadTimeout != 8*time.Second || o.WriteTimeout != 9*time.Second {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "": false, "10.0.0.1": false, "example.org": false} {
		if Loopback(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}
