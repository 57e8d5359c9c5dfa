package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var jwtSecret = []byte(strings.Repeat("0123456789abcdef", 2))

func newJWT(t testing.TB, cfg JWTConfig) *JWT {
	t.Helper()
	j, err := NewJWT(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// forge returns a token of any header and claims.
func forge(t testing.TB, method jwt.SigningMethod, key any, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	tok := jwt.NewWithClaims(method, claims)
	for k, v := range header {
		tok.Header[k] = v
	}
	s, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func jwtClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJWT(t, JWTConfig{Secret: jwtSecret, Issuer: "us", Audience: "push"})
		now := time.Now().Unix()
		good := func(change jwt.MapClaims) jwt.MapClaims {
			c := jwt.MapClaims{"sub": "7", "iss": "us", "aud": "push", "exp": now + 60}
			for k, v := range change {
				if c[k] = v; v == nil {
					delete(c, k)
				}
			}
			return c
		}
		for _, c := range []struct {
			name   string
			change jwt.MapClaims
			want   error
		}{
			{"good", nil, nil},
			{"one of several audiences", jwt.MapClaims{"aud": []string{"other", "push"}}, nil},
			{"expired a second ago", jwt.MapClaims{"exp": now - 1}, ErrExpired},
			{"no expiry", jwt.MapClaims{"exp": nil}, ErrInvalid},
			{"expiry as text", jwt.MapClaims{"exp": "tomorrow"}, ErrInvalid},
			{"not yet", jwt.MapClaims{"nbf": now + 6}, ErrInvalid},
			{"not yet by a clock that is ahead", jwt.MapClaims{"nbf": now + 5}, nil},
			{"from now", jwt.MapClaims{"nbf": now}, nil},
			{"issued in the future", jwt.MapClaims{"iat": now + 6}, ErrInvalid},
			{"issued by a clock that is ahead", jwt.MapClaims{"iat": now + 1}, nil},
			{"audience of another service", jwt.MapClaims{"aud": "billing"}, ErrInvalid},
			{"no audience", jwt.MapClaims{"aud": nil}, ErrInvalid},
			{"another issuer", jwt.MapClaims{"iss": "them"}, ErrInvalid},
			{"no issuer", jwt.MapClaims{"iss": nil}, ErrInvalid},
			{"expired and of another service", jwt.MapClaims{"exp": now - 1, "aud": "billing"}, ErrInvalid},
			{"expired and of another issuer", jwt.MapClaims{"exp": now - 1, "iss": "them"}, ErrInvalid},
		} {
			var claims jwt.RegisteredClaims
			err := j.Verify(forge(t, jwt.SigningMethodHS256, jwtSecret, nil, good(c.change)), &claims)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%s: Verify returned %v, want %v", c.name, err, c.want)
			}
			if err == nil && claims.Subject != "7" {
				t.Errorf("%s: subject is %q", c.name, claims.Subject)
			}
		}
		lenient := newJWT(t, JWTConfig{Secret: jwtSecret, AllowNoExpiry: true, Leeway: time.Minute})
		strict := newJWT(t, JWTConfig{Secret: jwtSecret, AllowNoExpiry: true, Leeway: NoLeeway})
		for _, c := range []struct {
			claims        jwt.MapClaims
			lenient, none error
		}{
			{jwt.MapClaims{}, nil, nil},
			{jwt.MapClaims{"nbf": now + 30}, nil, ErrInvalid},
			{jwt.MapClaims{"iat": now + 30}, nil, ErrInvalid},
			{jwt.MapClaims{"iat": now + 1}, nil, ErrInvalid},
			{jwt.MapClaims{"exp": now - 1}, ErrExpired, ErrExpired}, // no leeway prolongs a life
			{jwt.MapClaims{"exp": now}, ErrExpired, ErrExpired},
			{jwt.MapClaims{"exp": now + 1}, nil, nil},
		} {
			token := forge(t, jwt.SigningMethodHS256, jwtSecret, nil, c.claims)
			if err := lenient.Verify(token, jwt.MapClaims{}); err != c.lenient {
				t.Errorf("%v with a leeway of a minute: %v, want %v", c.claims, err, c.lenient)
			}
			if err := strict.Verify(token, jwt.MapClaims{}); err != c.none {
				t.Errorf("%v without leeway: %v, want %v", c.claims, err, c.none)
			}
		}
	})
}

func jwtForgeries(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{"sub": "7", "exp": time.Now().Add(time.Hour).Unix()}
	shared := newJWT(t, JWTConfig{Secret: jwtSecret})
	good := forge(t, jwt.SigningMethodHS256, jwtSecret, nil, claims)
	verify := func(name string, j *JWT, token string, want error) {
		t.Helper()
		err := j.Verify(token, jwt.MapClaims{})
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: Verify returned %v, want %v", name, err, want)
		}
		if errors.Is(err, ErrInvalid) && err.Error() != ErrInvalid.Error() {
			t.Errorf("%s: the error says more: %v", name, err)
		}
	}
	verify("good", shared, good, nil)
	verify("none", shared, "", ErrMissing)
	verify("oversized", shared, strings.Repeat("A", 64<<10), ErrInvalid)
	verify("another secret", shared, forge(t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), nil, claims), ErrInvalid)
	verify("algorithm none", shared, forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, claims), ErrInvalid)
	verify("algorithm not pinned", shared, forge(t, jwt.SigningMethodHS512, jwtSecret, nil, claims), ErrInvalid)
	verify("extension marked critical", shared, forge(t, jwt.SigningMethodHS256, jwtSecret, map[string]any{"crit": []string{"x"}}, claims), ErrInvalid)

	b64json := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "hs256", ""} {
		header := b64json(map[string]string{"alg": alg, "typ": "JWT"})
		verify("algorithm "+alg, shared, header+"."+b64json(claims)+".", ErrInvalid)
		verify("algorithm "+alg+" with the signature kept", shared, header+good[strings.IndexByte(good, '.'):], ErrInvalid)
	}

	// RS256 with the public key known to all, which must not become a secret.
	asymmetric := newJWT(t, JWTConfig{
		Algorithms: []string{"RS256"},
		Key:        func(string) (any, error) { return &rsaKey.PublicKey, nil },
	})
	verify("public key", asymmetric, forge(t, jwt.SigningMethodRS256, rsaKey, nil, claims), nil)
	verify("public key as a secret", asymmetric, forge(t, jwt.SigningMethodHS256, public, nil, claims), ErrInvalid)
	verify("secret where a public key is wanted", asymmetric, good, ErrInvalid)
	verify("public key where a secret is wanted", shared, forge(t, jwt.SigningMethodRS256, rsaKey, nil, claims), ErrInvalid)

	for i := range len(good) {
		if i > 0 {
			verify("truncated", shared, good[:i], ErrInvalid)
		}
		for bit := range 8 {
			b := []byte(good)
			b[i] ^= 1 << bit
			verify("another bit", shared, string(b), ErrInvalid)
		}
	}
	for _, bad := range []string{good + "\n", good + "=", good + ".x", " " + good, "Bearer " + good, good[:20] + "\r\n" + good[20:]} {
		verify("malleable", shared, bad, ErrInvalid)
	}
}

func jwtKeyIDs(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	j := newJWT(t, JWTConfig{
		Algorithms: []string{"ES256"},
		Key: func(id string) (any, error) {
			asked = append(asked, id)
			switch id {
			case "2026-a":
				return &ec.PublicKey, nil
			case "empty":
				return nil, nil
			}
			return nil, errors.New("no such key")
		},
	})
	claims := jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix()}
	for _, c := range []struct {
		kid   any
		want  error
		asked bool
	}{
		{"2026-a", nil, true},
		{"2025-z", ErrInvalid, true},
		{"empty", ErrInvalid, true},
		{"../../../../dev/null", ErrInvalid, false},
		{"x' OR '1'='1", ErrInvalid, false},
		{"a\x00b", ErrInvalid, false},
		{"", ErrInvalid, false},
		{strings.Repeat("k", 65), ErrInvalid, false},
		{7, ErrInvalid, false},
		{[]string{"2026-a"}, ErrInvalid, false},
	} {
		asked = nil
		err := j.Verify(forge(t, jwt.SigningMethodES256, ec, map[string]any{"kid": c.kid}, claims), jwt.MapClaims{})
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || (len(asked) > 0) != c.asked {
			t.Errorf("key id %v: Verify returned %v and asked for %q", c.kid, err, asked)
		}
	}
	asked = nil
	if err := j.Verify(forge(t, jwt.SigningMethodES256, ec, nil, claims), jwt.MapClaims{}); !errors.Is(err, ErrInvalid) || len(asked) != 1 || asked[0] != "" {
		t.Errorf("no key id: Verify returned %v and asked for %q", err, asked)
	}
	empty := newJWT(t, JWTConfig{Key: func(string) (any, error) { return []byte{}, nil }})
	if err := empty.Verify(forge(t, jwt.SigningMethodHS256, []byte{}, nil, claims), jwt.MapClaims{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("an empty secret: Verify returned %v", err)
	}
}

func TestJWTSign(t *testing.T) {
	j := newJWT(t, JWTConfig{Secret: jwtSecret, Algorithms: []string{"HS512", "HS256"}})
	s, err := j.Sign(jwt.RegisteredClaims{Subject: "7", ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.RegisteredClaims
	if err := j.Verify(s, &claims); err != nil || claims.Subject != "7" {
		t.Errorf("Verify returned %v with %+v", err, claims)
	}
	if _, err := j.Sign(jwt.MapClaims{"x": strings.Repeat("x", MaxBytes)}); err == nil {
		t.Error("Sign makes a token that Verify would refuse")
	}
	public := newJWT(t, JWTConfig{Algorithms: []string{"EdDSA"}, Key: func(string) (any, error) { return nil, nil }})
	if _, err := public.Sign(claims); err == nil {
		t.Error("Sign without a secret returned no error")
	}
}

func TestJWTConfigIsChecked(t *testing.T) {
	key := func(string) (any, error) { return nil, nil }
	for name, c := range map[string]struct {
		cfg    JWTConfig
		option string
	}{
		"no key":                {JWTConfig{}, "Secret"},
		"two keys":              {JWTConfig{Secret: jwtSecret, Key: key}, "Secret"},
		"short secret":          {JWTConfig{Secret: []byte("short")}, "Secret"},
		"secret for public key": {JWTConfig{Secret: jwtSecret, Algorithms: []string{"RS256"}}, "Secret"},
		"none":                  {JWTConfig{Key: key, Algorithms: []string{"none"}}, "Algorithms"},
		"mixed":                 {JWTConfig{Key: key, Algorithms: []string{"HS256", "RS256"}}, "Algorithms"},
		"leeway":                {JWTConfig{Key: key, Leeway: time.Hour}, "Leeway"},
	} {
		_, err := NewJWT(c.cfg)
		if got, ok := errors.AsType[*OptionError](err); !ok || got.Option != c.option {
			t.Errorf("%s: NewJWT returned %v", name, err)
		}
	}
}
