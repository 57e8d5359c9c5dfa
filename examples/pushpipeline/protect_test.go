package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// ask sends a request with headers, in which Host names the host, and returns the
// status, the header and the body.
func ask(t *testing.T, method, target string, header http.Header) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Host = header.Get("Host")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(body)
}

// foreignHosts: a page that reaches this machine by a name of its own gets nothing, on
// no listener.
func foreignHosts(t *testing.T) {
	r := start(t, "-debug-addr", "127.0.0.1:0", "-push-addr", "127.0.0.1:0", "-host", "push.example.com")
	main, push, debug := r.listener.Addr().String(), r.pushListener.Addr().String(), r.debugListener.Addr().String()
	_, port, _ := net.SplitHostPort(main)
	for _, at := range []string{
		main + "/", main + "/api/token?user=1", main + "/api/stats", main + "/socket/websocket", push + "/push",
		debug + "/debug/vars", debug + "/debug/pprof/", debug + "/debug/stages",
	} {
		for _, host := range []string{"evil.example", "evil.example:" + port, "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.2"} {
			if status, _, body := ask(t, http.MethodGet, "http://"+at, http.Header{"Host": {host}}); status != http.StatusMisdirectedRequest {
				t.Errorf("%s for %s: %d %.80s", at, host, status, body)
			}
		}
	}
	for host, want := range map[string]int{"localhost:" + port: 200, "127.0.0.1": 200, "[::1]:" + port: 200, "push.example.com": 200} {
		if status, _, body := ask(t, http.MethodGet, "http://"+main+"/", http.Header{"Host": {host}}); status != want {
			t.Errorf("%s: %d %.80s", host, status, body)
		}
	}
	// A public name is none of an operator's pages.
	if status, _, _ := ask(t, http.MethodGet, "http://"+debug+"/debug/vars", http.Header{"Host": {"push.example.com"}}); status != http.StatusMisdirectedRequest {
		t.Errorf("the debug pages for a public name: %d", status)
	}
	// An orchestrator asks by an address of its own.
	for _, at := range []string{main + "/healthz", main + "/readyz", push + "/readyz"} {
		if status, _, _ := ask(t, http.MethodGet, "http://"+at, http.Header{"Host": {"10.1.2.3:4000"}}); status != http.StatusOK {
			t.Errorf("%s for an orchestrator: %d", at, status)
		}
	}
}

// foreignPages: requests of other sites' pages get nothing from the debug pages, and
// push nothing.
func foreignPages(t *testing.T) {
	r := start(t, "-debug-addr", "127.0.0.1:0")
	debug := "http://" + r.debugListener.Addr().String()
	for _, header := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"http://evil.example"}}, {"Origin": {"null"}},
	} {
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/profile?seconds=1", "/debug/vars", "/debug/stages"} {
			if status, _, _ := ask(t, http.MethodGet, debug+path, header); status != http.StatusForbidden {
				t.Errorf("%s with %v: %d", path, header, status)
			}
		}
		if status, _, _ := ask(t, http.MethodPost, r.url("/push"), header); status != http.StatusForbidden {
			t.Errorf("/push with %v: %d", header, status)
		}
	}
	for _, header := range []http.Header{{}, {"Sec-Fetch-Site": {"none"}}, {"Sec-Fetch-Site": {"same-origin"}}} {
		if status, _, _ := ask(t, http.MethodGet, debug+"/debug/vars", header); status != http.StatusOK {
			t.Errorf("with %v: %d", header, status)
		}
	}
}

// secretsStayInside: no secret is in what the program prints or serves.
func secretsStayInside(t *testing.T) {
	const secret, key = "hunter2-the-secret-of-sockets", "hunter2-the-key-of-producers"
	var logs bytes.Buffer // written until the program has ended
	args := []string{
		"-addr", "127.0.0.1:0", "-debug-addr", "127.0.0.1:0", "-source", "memory", "-rate", "100", "-users", "2", "-log-level", "debug",
		"-secret-file", fileWith(t, secret), "-push-key-file", fileWith(t, key),
	}
	cfg, out, err := parse(t, nil, args...)
	if err != nil {
		t.Fatal(err, out)
	}
	a, err := newApp(cfg, slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	end := runUntil(t, a)
	seen := ""
	for _, target := range []string{
		a.listener.Addr().String() + "/", a.listener.Addr().String() + "/api/stats", a.listener.Addr().String() + "/push",
		a.debugListener.Addr().String() + "/debug/vars", a.debugListener.Addr().String() + "/debug/pprof/cmdline",
		a.debugListener.Addr().String() + "/debug/pprof/goroutine?debug=2", a.debugListener.Addr().String() + "/debug/stages",
	} {
		_, header, body := ask(t, http.MethodGet, "http://"+target, http.Header{"Authorization": {"Bearer " + key}})
		text, _ := json.Marshal(header)
		seen += string(text) + body
	}
	if strings.Contains(seen, "cmdline\"") || !strings.Contains(seen, "memstats") {
		t.Error("the variables have the command line, or are missing")
	}
	sum := end()
	text, _ := json.Marshal(sum)
	seen += string(text) + logs.String()
	_, help, _ := parse(t, map[string]string{"PUSHPIPELINE_SECRET": secret}, "-h")
	_, wrong, _ := parse(t, map[string]string{"PUSHPIPELINE_SECRET": "hunter2"}, "-users", "0")
	if seen += help + wrong; strings.Contains(seen, "hunter2") {
		t.Error("a secret is shown")
	}
}

// runUntil runs an app until the returned function is called.
func runUntil(t *testing.T, a *app) (end func() summary) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	type result struct {
		sum summary
		err error
	}
	done := make(chan result, 1)
	go func() {
		sum, err := a.run(ctx, t.Context(), func(status) {})
		done <- result{sum, err}
	}()
	<-a.started
	return func() summary {
		cancel()
		r := <-done
		if r.err != nil {
			t.Error(r.err)
		}
		return r.sum
	}
}

// tokensEnd: nothing is delivered after the end of the token, unless the client has
// renewed it; another user's token renews nothing.
func tokensEnd(t *testing.T) {
	t.Parallel()
	const age = 4 * time.Second
	r := start(t, "-token-age", age.String())
	ctx := within(t, patience)
	renewing, lazy, thief := r.join("1"), r.join("2"), r.join("3")
	begin := time.Now()
	over, stop := context.WithCancel(ctx)
	var renewals sync.WaitGroup
	defer renewals.Wait()
	defer stop()
	for _, s := range []*subscriber{renewing, thief} {
		renewals.Go(func() {
			tick := time.NewTicker(age / 4)
			defer tick.Stop()
			for {
				tok, err := r.tokenFor("1")
				if err != nil {
					t.Error(err)
				}
				if s.send(ctx, "", "9", "phoenix", "renew", map[string]string{"token": tok}) != nil {
					return // closed
				}
				select {
				case <-tick.C:
				case <-over.Done():
					return
				}
			}
		})
	}
	for name, s := range map[string]*subscriber{"lazy": lazy, "thief": thief} {
		if _, err := s.next(ctx); websocket.CloseStatus(err) != 4001 {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(begin); took < age/2 || took > age+soon {
			t.Errorf("%s was closed after %v", name, took)
		}
	}
	r.push("1", 1)
	r.push("2", 1)
	if got, err := renewing.next(ctx); err != nil || got.Data.N != 1 {
		t.Errorf("the client that has renewed: %+v %v", got, err)
	}
	stop()
	renewals.Wait()
	if sum := r.stop(); sum.Delivered != 1 || sum.Discarded["no_subscriber"] != 1 {
		t.Errorf("%+v", sum)
	}
}

// demoEndpoints: without -demo there is no page, no figures and no token for anyone.
func demoEndpoints(t *testing.T) {
	r := start(t, "-demo=false")
	for _, path := range []string{"/", "/index.html", "/app.js", "/api/stats", "/api/token?user=1", "/api/nap?ms=1"} {
		if status, _, _ := ask(t, http.MethodGet, r.url(path), nil); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _, _ := ask(t, http.MethodGet, r.url("/readyz"), nil); status != http.StatusOK {
		t.Errorf("/readyz: %d", status)
	}
	public := []string{"-addr", "0.0.0.0:4000", "-plaintext", "-host", "push.example.com", "-push-addr", "off", "-secret-file", fileWith(t, "a-secret-of-more-than-20-bytes")}
	if c, out, err := parse(t, nil, public...); err != nil || c.Demo {
		t.Errorf("on a public address: %v %v %s", c.Demo, err, out)
	}
	if c, _, err := parse(t, nil, append(public, "-demo")...); err != nil || !c.Demo {
		t.Errorf("asked for on a public address: %v %v", c.Demo, err)
	}
	if c, _, err := parse(t, nil); err != nil || !c.Demo {
		t.Errorf("by default: %v %v", c.Demo, err)
	}
}

// methodsOfThePage: only what is served gets 200.
func methodsOfThePage(t *testing.T) {
	r := start(t)
	for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodPut, http.MethodTrace, http.MethodOptions, http.MethodPatch} {
		for _, path := range []string{"/", "/index.html", "/healthz", "/readyz", "/api/stats", "/api/token"} {
			if status, header, _ := ask(t, method, r.url(path), nil); status != http.StatusMethodNotAllowed || header.Get("Allow") == "" {
				t.Errorf("%s %s: %d", method, path, status)
			}
		}
		if method != http.MethodPost {
			if status, _, _ := ask(t, method, r.url("/push"), nil); status != http.StatusMethodNotAllowed && status != http.StatusForbidden {
				t.Errorf("%s /push: %d", method, status)
			}
		}
	}
	_, header, _ := ask(t, http.MethodGet, r.url("/"), nil)
	policy := header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "connect-src 'self' ws://"+r.listener.Addr().String()+" ") || strings.Contains(policy, "ws: ") || strings.Contains(policy, "wss:;") {
		t.Errorf("policy %q", policy)
	}
}

// connectionsAreBounded by the program's flags; its own clients fit in any case.
func connectionsAreBounded(t *testing.T) {
	// The rate is low, so that a busy machine can try more often than that.
	r := start(t, "-users", "30", "-clients", "30", "-max-per-address", "5", "-max-per-user", "2", "-connect-rate", "10")
	if n := r.clients.open.Load(); n != 30 {
		t.Fatalf("%d of the program's clients are connected", n)
	}
	open := func(user string) int {
		tok, err := r.tokenFor(user)
		if err != nil {
			t.Fatal(err)
		}
		conn, resp, err := dial(t.Context(), r.listener.Addr().String(), tok, nil)
		if err == nil {
			t.Cleanup(func() { conn.CloseNow() })
			return http.StatusSwitchingProtocols
		}
		return resp.StatusCode
	}
	// User 1 has the program's own client already.
	for i, want := range []int{101, 429, 429} {
		if got := open("1"); got != want {
			t.Errorf("connection %d of user 1: %d, want %d", i, got, want)
		}
	}
	for i, want := range []int{101, 101, 101, 101, 503} {
		if got := open("u" + string(rune('a'+i))); got != want {
			t.Errorf("connection %d of an address: %d, want %d", i, got, want)
		}
	}
	limited := false
	for range 100 {
		limited = limited || open("x") == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("there is no bound on tries")
	}
}

// writeCertificate makes a certificate for 127.0.0.1 in dir, and returns it.
func writeCertificate(t *testing.T, dir string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// transportSecurity: TLS 1.2 or newer, HSTS, clients of the program's own, and a
// certificate that is replaced while it runs.
func transportSecurity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := writeCertificate(t, dir)
	r := start(t, "-tls-cert", filepath.Join(dir, "cert"), "-tls-key", filepath.Join(dir, "key"), "-users", "2", "-clients", "2", "-rate", "200")
	get := func(cert *x509.Certificate, version uint16) (*http.Response, error) {
		roots := x509.NewCertPool()
		roots.AddCert(cert)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: version, MaxVersion: max(version, tls.VersionTLS12)}}}
		resp, err := client.Get("https://" + r.listener.Addr().String() + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return resp, err
	}
	resp, err := get(first, tls.VersionTLS12)
	if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Fatalf("%v %v", resp, err)
	}
	client := tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", r.listener.Addr().String(), &client); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is accepted")
	}
	// What hostile clients cause is logged once a second at most.
	const strangers = 50
	begin := time.Now()
	for range strangers {
		conn, err := net.Dial("tcp", r.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		_, _ = io.Copy(io.Discard, conn) // until the server has closed it
		conn.Close()
	}
	if n, most := r.log.count("TLS handshake"), 2+int(time.Since(begin).Seconds()); n < 1 || n > most {
		t.Errorf("%d lines about %d failed handshakes, want 1 to %d", n, strangers, most)
	}
	second := writeCertificate(t, dir)
	eventually(t, patience, "the new certificate", func() bool { _, err := get(second, tls.VersionTLS12); return err == nil })
	// A file that is cut off changes nothing.
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("cut"), 0o600); err != nil {
		t.Fatal(err)
	}
	<-time.After(certificateEvery + 100*time.Millisecond)
	if _, err := get(second, tls.VersionTLS12); err != nil {
		t.Errorf("a broken file ends the service: %v", err)
	}
	if sum := r.stop(); sum.Delivered == 0 || sum.Delivered != sum.Enqueued {
		t.Errorf("%+v", sum)
	}
}
