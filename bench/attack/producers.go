//go:build linux

package main

import (
	"encoding/base64"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// pushSecret signs the tokens of the producers, honest ones and attackers. Both may
// push: an attacker who may not is refused before anything of a body is read.
var pushSecret = []byte(strings.Repeat("attack!!", 4))

func secretFile() (string, error) {
	f, err := os.CreateTemp("", "attack-key-")
	if err != nil {
		return "", err
	}
	_, err = f.Write(pushSecret)
	return f.Name(), errors.Join(err, f.Close())
}

// producer returns the Authorization of the producer of that name.
func producer(name string) string {
	t, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject: name, Audience: jwt.ClaimStrings{"push"}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(24 * time.Hour)),
	}).SignedString(pushSecret)
	if err != nil {
		panic(err) // the secret is a constant
	}
	return "Bearer " + t
}

// subprotocols carry a socket token, as phoenix.js sends its authToken.
func subprotocols(token string) []string {
	return []string{"phoenix", "base64url.bearer.phx." + base64.RawURLEncoding.EncodeToString([]byte(token))}
}
