package redis_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// TestTLS: the TLS of the client's options holds although the remote has a dialer of its
// own. In front of the server is what ends it.
func TestTLS(t *testing.T) {
	c := newCluster(t)
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait() // the connections end with the remote
	})
	running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", c.addr)
			if err != nil {
				_ = in.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				running.Go(func() {
					_, _ = io.Copy(pair[0], pair[1])
					_, _ = pair[0].Close(), pair[1].Close()
				})
			}
		}
	})
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	cfg := c.config("a")
	cfg.Options = &goredis.UniversalOptions{Addrs: []string{l.Addr().String()}, TLSConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}}
	a, _, _ := runHub(t, cfg)
	b, _, _ := runHub(t, c.config("b"))
	if _, err := b.Subscribe("user:1", taker(nil)); err != nil {
		t.Fatal(err)
	}
	b.Settle(t.Context(), "user:1")
	if r := reported(t, a, "user:1"); r.Err != nil {
		t.Errorf("reported %v", r.Err)
	}
}
