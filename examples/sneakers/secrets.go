package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
)

// readFiles reads the secrets, or makes them up.
func (c *config) readFiles() error {
	c.Secret, c.AdminPassword, c.MadeUpPassword = rand.Text(), rand.Text()[:16], c.AdminPasswordFile == ""
	for _, f := range []struct {
		name, file string
		bytes      int
		to         *string
	}{
		{"secret-file", c.SecretFile, minSecret, &c.Secret},
		{"admin-password-file", c.AdminPasswordFile, 8, &c.AdminPassword},
		{"cluster-secret-file", c.ClusterSecretFile, minSecret, &c.ClusterSecret},
	} {
		if f.file == "" {
			continue
		}
		text, err := os.ReadFile(f.file)
		if err != nil {
			return fmt.Errorf("-%s: %w", f.name, err)
		}
		if *f.to = strings.TrimSpace(string(text)); len(*f.to) < f.bytes {
			return fmt.Errorf("-%s %s: %d bytes or more are required", f.name, f.file, f.bytes)
		}
	}
	return nil
}
