package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateEvery is how often the files of the certificate are looked at.
const certificateEvery = time.Second

// certificate is a TLS certificate that is read again when its files change. Any
// goroutine may use it.
type certificate struct {
	cert, key string // files
	log       *slog.Logger

	mu      sync.Mutex // guards the fields below
	loaded  *tls.Certificate
	changed [2]time.Time // of the files, when they were read
	looked  time.Time
}

// openCertificate reads a certificate. It returns nil if there are no files.
func openCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	if cert == "" {
		return nil, nil
	}
	c := &certificate{cert: cert, key: key, log: log}
	if err := c.load(time.Now()); err != nil {
		return nil, fmt.Errorf("-tls-cert, -tls-key: %w", err)
	}
	return c, nil
}

// load reads the files if they have changed. The caller holds the lock, or is alone.
func (c *certificate) load(now time.Time) error {
	c.looked = now
	var changed [2]time.Time
	for i, file := range []string{c.cert, c.key} {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		changed[i] = info.ModTime()
	}
	if c.loaded != nil && changed == c.changed {
		return nil
	}
	loaded, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.loaded, c.changed = &loaded, changed
	return nil
}

// get returns the certificate. If the new files cannot be read the old certificate
// stays, and the log says so.
func (c *certificate) get() *tls.Certificate {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.looked) >= certificateEvery {
		if err := c.load(now); err != nil {
			c.log.Error("the certificate is not renewed", "error", err)
		}
	}
	return c.loaded
}

// server is the configuration of the servers; nil without a certificate.
func (c *certificate) server() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
	}
}

// own is the configuration of the program's own clients, which trust this certificate
// whatever its names are; nil without a certificate.
func (c *certificate) own() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // compared below instead
		VerifyConnection: func(s tls.ConnectionState) error {
			if !bytes.Equal(s.PeerCertificates[0].Raw, c.get().Certificate[0]) {
				return errors.New("not the certificate of this program")
			}
			return nil
		},
	}
}
