package nodes

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
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

// All that a Redis URL says reaches the client.
func TestRedisOptions(t *testing.T) {
	const text = "rediss://user:word@a:1/3?protocol=2&client_name=me&max_retries=4&min_retry_backoff=5s&max_retry_backoff=6s" +
		"&dial_timeout=7s&read_timeout=8s&write_timeout=9s&pool_fifo=true&pool_size=10&pool_timeout=11s&min_idle_conns=12" +
		"&max_idle_conns=13&max_active_conns=14&max_concurrent_dials=15&pipeline_pool_size=16&pipeline_read_buffer_size=17" +
		"&pipeline_write_buffer_size=18&conn_max_idle_time=19s&conn_max_lifetime=21s&conn_max_lifetime_jitter=20s&skip_verify=true"
	parsed, err := goredis.ParseURL(text)
	if err != nil {
		t.Fatal(err)
	}
	o, err := RedisOptions(text)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a:1"}; !slices.Equal(o.Addrs, want) {
		t.Errorf("Addrs is %q, want %q", o.Addrs, want)
	}
	set := 0
	for field, want := range reflect.ValueOf(*parsed).Fields() {
		if !field.IsExported() || want.IsZero() || field.Name == "Addr" || field.Name == "Network" {
			continue
		}
		set++
		got := reflect.ValueOf(*o).FieldByName(field.Name)
		if !got.IsValid() || !reflect.DeepEqual(got.Interface(), want.Interface()) {
			t.Errorf("%s is %v, want %v", field.Name, got, want)
		}
	}
	if set < 24 {
		t.Errorf("the URL sets %d options only", set)
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "": false, "10.0.0.1": false, "example.org": false} {
		if Loopback(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}
