package kafkatest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Write writes records to the partitions that they name, and waits until the brokers have
// them.
func (c *Cluster) Write(ctx context.Context, records ...*kgo.Record) {
	c.t.Helper()
	c.administrator()
	if err := c.admin.ProduceSync(ctx, records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// Certificate returns the options of a client for the listeners with TLS.
func (c *Cluster) Certificate() kgo.Opt {
	c.t.Helper()
	pem, err := os.ReadFile(filepath.Join(libraries(), "tls", "cert.pem"))
	if err != nil {
		c.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		c.t.Fatal("no certificate in cert.pem")
	}
	return kgo.DialTLSConfig(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
}

// Password returns the option of a client for the listeners with SASL: user penstock, by
// the mechanism PLAIN or SCRAM-SHA-256. The right password is "secret".
func Password(mechanism, password string) kgo.Opt {
	if strings.HasPrefix(mechanism, "SCRAM") {
		return kgo.SASL(scram.Auth{User: "penstock", Pass: password}.AsSha256Mechanism())
	}
	return kgo.SASL(plain.Auth{User: "penstock", Pass: password}.AsMechanism())
}
