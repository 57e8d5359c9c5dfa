package token

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func BenchmarkDeriveKey(b *testing.B) {
	p := newPhoenix(b, PhoenixConfig{MaxKeys: 1})
	for i := 0; b.Loop(); i++ {
		if _, err := p.keys.key(string(rune('a' + i%2))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPhoenixVerify(b *testing.B) {
	p := newPhoenix(b, PhoenixConfig{})
	token, err := p.Sign("user socket", "1", SignConfig{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Verify("user socket", token, VerifyConfig{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJWTVerify(b *testing.B) {
	j := newJWT(b, JWTConfig{Secret: jwtSecret})
	token, err := j.Sign(jwt.RegisteredClaims{Subject: "7", ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var claims jwt.RegisteredClaims
		if err := j.Verify(token, &claims); err != nil {
			b.Fatal(err)
		}
	}
}
