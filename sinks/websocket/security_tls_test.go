package websocket_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// certificate is a self-signed one for a name, until a time.
func certificate(t *testing.T, name string, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func securityTLS(t *testing.T) {
	good, roots := certificate(t, "push.test", time.Now().Add(time.Hour))
	expired, expiredRoots := certificate(t, "push.test", time.Now().Add(-time.Hour))
	current := &good
	var mu sync.Mutex
	e := newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{}, websocket.MountConfig{})
	listen := func(timeout time.Duration) net.Listener {
		server, err := websocket.NewServer(e, websocket.ServerConfig{Timeouts: websocket.ServerTimeouts{Header: timeout}, TLS: &tls.Config{
			MinVersion: tls.VersionTLS10, // is raised
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				mu.Lock()
				defer mu.Unlock()
				return current, nil
			},
		}})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server.ErrorLog = log.New(io.Discard, "", 0)
		var group sync.WaitGroup
		group.Go(func() {
			if err := server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		})
		t.Cleanup(func() { _ = server.Close(); group.Wait() })
		return l
	}
	l := listen(0)
	dial := func(c *tls.Config) (*tls.Conn, error) {
		return tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", l.Addr().String(), c)
	}
	f := &fixture{t: t, addr: "push.test"}
	read := func(r io.Reader) (*http.Response, error) { return http.ReadResponse(bufio.NewReader(r), nil) }
	upgrade := func(rw io.ReadWriter) (*http.Response, error) {
		if _, err := io.WriteString(rw, f.upgradeRequest("")); err != nil {
			return nil, err
		}
		return read(rw)
	}

	for _, row := range []struct {
		name string
		conf *tls.Config
		want uint16 // 0: no handshake
	}{
		{"as it should be", &tls.Config{RootCAs: roots, ServerName: "push.test"}, tls.VersionTLS13},
		{"TLS 1.2", &tls.Config{RootCAs: roots, ServerName: "push.test", MaxVersion: tls.VersionTLS12}, tls.VersionTLS12},
		{"TLS 1.1", &tls.Config{RootCAs: roots, ServerName: "push.test", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, 0},
		{"TLS 1.0", &tls.Config{RootCAs: roots, ServerName: "push.test", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, 0},
		{"SNI mismatch", &tls.Config{RootCAs: roots, ServerName: "evil.test"}, 0},
		{"unknown authority", &tls.Config{ServerName: "push.test"}, 0},
		{"HTTP/2 by ALPN alone", &tls.Config{RootCAs: roots, ServerName: "push.test", NextProtos: []string{"h2"}}, 0},
	} {
		c, err := dial(row.conf)
		if (err == nil) != (row.want != 0) {
			t.Errorf("%s: %v", row.name, err)
		}
		if err != nil {
			continue
		}
		if v := c.ConnectionState().Version; v != row.want {
			t.Errorf("%s: version %x, want %x", row.name, v, row.want)
		}
		resp, err := upgrade(c)
		if err != nil || resp.StatusCode != 101 {
			t.Errorf("%s: %v %v", row.name, resp, err)
		}
		_ = c.Close()
	}
	// An expired certificate; then, without a restart, the new one.
	mu.Lock()
	current = &expired
	mu.Unlock()
	if _, err := dial(&tls.Config{RootCAs: expiredRoots, ServerName: "push.test"}); err == nil {
		t.Error("an expired certificate was taken")
	}
	mu.Lock()
	current = &good
	mu.Unlock()
	c, err := dial(&tls.Config{RootCAs: roots, ServerName: "push.test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: push.test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := read(c)
	if err != nil || resp.StatusCode != 404 || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%v %v", resp, err)
	}
	_ = c.Close()
	// ws:// to the port of wss://, and a handshake that does not go on.
	plain, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := upgrade(plain); err != nil || resp.StatusCode != 400 {
		t.Errorf("plaintext on the TLS port: %v %v", resp, err)
	}
	_ = plain.Close()
	slow, err := net.Dial("tcp", listen(100*time.Millisecond).Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := slow.SetReadDeadline(begin.Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(slow, "\x16\x03\x01"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(slow); errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) > 5*time.Second {
		t.Errorf("a slow handshake ended after %v with %v", time.Since(begin), err)
	}
	_ = slow.Close()

	// Without TLS only on loopback, unless a proxy ends it.
	for _, row := range []struct {
		local     string
		plaintext bool
		want      int
	}{{"127.0.0.1:80", false, passes}, {"[::1]:80", false, passes}, {"[::ffff:127.0.0.1]:80", false, passes}, {"192.0.2.1:80", false, 403}, {"[2001:db8::1]:80", false, 403}, {"192.0.2.1:80", true, passes}} {
		s, err := websocket.NewServer(e, websocket.ServerConfig{Plaintext: row.plaintext})
		if err != nil {
			t.Fatal(err)
		}
		addr := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(row.local))
		r := ask("GET", "/socket/websocket", nil)
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(addr)))
		if got, _ := answerOf(s.Handler, r); got != row.want {
			t.Errorf("%+v: %d", row, got)
		}
	}
	for _, c := range []websocket.ServerConfig{
		{Timeouts: websocket.ServerTimeouts{Header: -1}}, {Timeouts: websocket.ServerTimeouts{Read: -1}}, {Timeouts: websocket.ServerTimeouts{Body: -1}},
		{Timeouts: websocket.ServerTimeouts{Write: -1}}, {Timeouts: websocket.ServerTimeouts{Idle: -1}}, {Timeouts: websocket.ServerTimeouts{Drain: -1}},
		{Limits: websocket.ServerLimits{HeaderBytes: 4096}}, {Limits: websocket.ServerLimits{Headers: -1}}, {Limits: websocket.ServerLimits{Waiting: -1}},
		{Limits: websocket.ServerLimits{Requests: -1}}, {Limits: websocket.ServerLimits{BodyBytes: -1}}, {Limits: websocket.ServerLimits{BodiesBytes: -1}},
		{Hosts: []string{"*"}},
	} {
		var bad *websocket.OptionError
		if _, err := websocket.NewServer(e, c); !errors.As(err, &bad) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
