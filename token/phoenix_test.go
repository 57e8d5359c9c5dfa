package token

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var goldenBase = strings.Repeat("phxbench", 8)

const goldenSalt = "user socket"

var goldenTime = time.Unix(1_700_000_000, 0)

func newPhoenix(t testing.TB, cfg PhoenixConfig) *Phoenix {
	t.Helper()
	if cfg.SecretKeyBase == "" {
		cfg.SecretKeyBase = goldenBase
	}
	p, err := NewPhoenix(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func check(t *testing.T, what string, got any, err error, want any, wantErr error) {
	t.Helper()
	if !errors.Is(err, wantErr) || wantErr == nil && err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s returned %#v, %v, want %#v, %v", what, got, err, want, wantErr)
	}
}

// Tokens that Phoenix has made, or accepts.
func TestGolden(t *testing.T) {
	p := newPhoenix(t, PhoenixConfig{})
	key, err := p.keys.key(goldenSalt)
	if err != nil || hex.EncodeToString(key) != "0ae87d8eb8d567132e6b99d21483b38c869d2bbc3739fc17dc61f68177f22781" {
		t.Fatalf("the key is %x, %v", key, err)
	}
	for _, c := range []struct {
		data   any
		maxAge time.Duration
		want   any
		token  string
	}{
		{"1", 0, "1", "SFMyNTY.g2gDbQAAAAExbgYAAGjlz4sBYgABUYA.e2izbra1wCYezaqvnFJnFJGLXqDrZvHqKdpoMvM06mc"},
		{1, 0, int64(1), "SFMyNTY.g2gDYQFuBgAAaOXPiwFiAAFRgA.X2tMkaD2T-ocbiKWLMQGA73gSe8I2BKsbTsrhAAZS1I"},
		{map[string]any{"id": 7, "r": []string{"a", "b"}}, time.Minute, map[any]any{"id": int64(7), "r": []any{"a", "b"}},
			"SFMyNTY.g2gDdAAAAAJtAAAAAmlkYQdtAAAAAXJsAAAAAm0AAAABYW0AAAABYmpuBgAAaOXPiwFhPA.352wfTpdk1Rs_Qs4QmCRM8K7YLagDy8iHodGfWONlyQ"},
	} {
		got, err := p.Sign(goldenSalt, c.data, SignConfig{SignedAt: goldenTime, MaxAge: c.maxAge})
		if err != nil || got != c.token {
			t.Errorf("Sign(%v) returned\n%s, %v, want\n%s", c.data, got, err, c.token)
		}
		data, err := p.Verify(goldenSalt, c.token, VerifyConfig{MaxAge: Forever})
		check(t, "Verify", data, err, c.want, nil)
		_, err = p.Verify(goldenSalt, c.token, VerifyConfig{})
		check(t, "Verify of an old token", nil, err, nil, ErrExpired)
	}
}

// kind is signing or encrypting, which promise the same.
type kind struct {
	name  string
	make  func(*Phoenix, string, any, SignConfig) (string, error)
	check func(*Phoenix, string, string, VerifyConfig) (any, error)
}

var kinds = []kind{
	{"sign", (*Phoenix).Sign, (*Phoenix).Verify},
	{"encrypt", (*Phoenix).Encrypt, (*Phoenix).Decrypt},
}

func TestConformance(t *testing.T) {
	for _, k := range kinds {
		prefix := ""
		if k.name == "encrypt" {
			prefix = "P96_"
		}
		t.Run(prefix+"P90_round_trip", func(t *testing.T) { conformRoundTrip(t, k) })
		t.Run(prefix+"P91_no_token_is_missing", func(t *testing.T) {
			got, err := k.check(newPhoenix(t, PhoenixConfig{}), "id", "", VerifyConfig{})
			check(t, "an empty token", got, err, nil, ErrMissing)
		})
		t.Run(prefix+"P92_garbage_and_other_salt_are_invalid", func(t *testing.T) { conformInvalid(t, k) })
		t.Run(prefix+"max_age", func(t *testing.T) { conformMaxAge(t, k) })
		t.Run(prefix+"P94_signed_at_is_honoured", func(t *testing.T) { conformSignedAt(t, k) })
		t.Run(prefix+"P95_derivation_options_change_the_token", func(t *testing.T) { conformDerivation(t, k) })
	}
}

func conformRoundTrip(t *testing.T, k kind) {
	p := newPhoenix(t, PhoenixConfig{})
	for _, data := range []any{"1", int64(1), nil, true, Atom("id"), Tuple{"a"}, []any{"x"}, map[any]any{"a": int64(1)}} {
		token, err := k.make(p, "id", data, SignConfig{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.check(p, "id", token, VerifyConfig{})
		check(t, "the check", got, err, data, nil)
	}
}

func conformInvalid(t *testing.T, k kind) {
	p := newPhoenix(t, PhoenixConfig{})
	token, err := k.make(p, "id", "1", SignConfig{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.check(p, "other", token, VerifyConfig{})
	check(t, "another salt", got, err, nil, ErrInvalid)
	got, err = k.check(newPhoenix(t, PhoenixConfig{SecretKeyBase: strings.Repeat("x", 64)}), "id", token, VerifyConfig{})
	check(t, "another secret", got, err, nil, ErrInvalid)
	for _, bad := range []string{
		"garbage", ".", "..", "...", "SFMyNTY", "SFMyNTY..", "XCP", "XCP.", "XCP.AAAA", "none." + token, token + ".", "." + token,
		token + "=", token + "\n", "\n" + token, token[:len(token)/2] + "\r\n" + token[len(token)/2:], " " + token,
		strings.Repeat("A", 64<<10), strings.Repeat(".", 8000), "\x00", "é",
	} {
		got, err := k.check(p, "id", bad, VerifyConfig{})
		check(t, bad[:min(len(bad), 30)], got, err, nil, ErrInvalid)
	}
	// Every truncation and every change of one bit.
	for i := range len(token) {
		if i > 0 {
			got, err := k.check(p, "id", token[:i], VerifyConfig{})
			check(t, "a truncated token", got, err, nil, ErrInvalid)
		}
		for bit := range 8 {
			b := []byte(token)
			b[i] ^= 1 << bit
			got, err := k.check(p, "id", string(b), VerifyConfig{})
			check(t, "a token with another bit", got, err, nil, ErrInvalid)
		}
	}
}

func conformMaxAge(t *testing.T, k kind) {
	for _, c := range []struct {
		name     string
		in       time.Duration // written into the token
		age      time.Duration
		asked    time.Duration // by the check
		expected error
	}{
		{"default, a day", 0, 24 * time.Hour, 0, nil},
		{"default, over a day", 0, 24*time.Hour + time.Millisecond, 0, ErrExpired},
		{"in the token, young", time.Minute, time.Minute, 0, nil},
		{"in the token, old", time.Minute, time.Minute + time.Second, 0, ErrExpired},
		{"the check shortens", time.Hour, time.Minute, 30 * time.Second, ErrExpired},
		{"the check lengthens", time.Second, time.Minute, time.Hour, nil},
		{"the check takes any age", time.Second, 1000 * time.Hour, Forever, nil},
		{"forever in the token", Forever, 100_000 * time.Hour, 0, nil},
		{"forever, shortened", Forever, time.Minute, time.Second, ErrExpired},
		{"negative in the token", -1, 0, 0, ErrExpired},
		{"negative in the check", time.Hour, 0, -1, ErrExpired},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPhoenix(t, PhoenixConfig{})
			token, err := k.make(p, "id", "1", SignConfig{MaxAge: c.in})
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(c.age)
			var want any = "1"
			if c.expected != nil {
				want = nil
			}
			got, err := k.check(p, "id", token, VerifyConfig{MaxAge: c.asked})
			check(t, c.name, got, err, want, c.expected)
		})
	}
	if _, err := k.make(newPhoenix(t, PhoenixConfig{}), "id", 1, SignConfig{MaxAge: time.Second + 1}); err == nil {
		t.Error("a max age that is no whole number of seconds is accepted")
	}
}

func conformSignedAt(t *testing.T, k kind) {
	synctest.Test(t, func(t *testing.T) {
		p := newPhoenix(t, PhoenixConfig{})
		for _, c := range []struct {
			ago      time.Duration
			cfg      VerifyConfig
			expected error
		}{
			{0, VerifyConfig{}, nil}, {time.Hour, VerifyConfig{}, nil}, {25 * time.Hour, VerifyConfig{}, ErrExpired},
			{-100_000 * time.Hour, VerifyConfig{}, ErrInvalid},
			// The signer's clock is ahead.
			{-time.Second, VerifyConfig{}, nil}, {-5 * time.Second, VerifyConfig{}, nil},
			{-5001 * time.Millisecond, VerifyConfig{}, ErrInvalid},
			{-2 * time.Second, VerifyConfig{MaxAge: Forever}, nil}, {-6 * time.Second, VerifyConfig{MaxAge: Forever}, ErrInvalid},
			{-2 * time.Second, VerifyConfig{MaxAge: time.Second}, nil}, {-time.Second, VerifyConfig{MaxAge: -1}, ErrExpired},
			{-time.Second, VerifyConfig{Leeway: NoLeeway}, ErrInvalid}, {-time.Minute, VerifyConfig{Leeway: time.Minute}, nil},
			// No leeway prolongs the life of a token.
			{61 * time.Second, VerifyConfig{MaxAge: time.Minute, Leeway: time.Minute}, ErrExpired},
		} {
			token, err := k.make(p, "id", "1", SignConfig{SignedAt: time.Now().Add(-c.ago)})
			if err != nil {
				t.Fatal(err)
			}
			_, err = k.check(p, "id", token, c.cfg)
			check(t, fmt.Sprint(c.ago, c.cfg), nil, err, nil, c.expected)
		}
		token, err := k.make(p, "id", "1", SignConfig{})
		if err != nil {
			t.Fatal(err)
		}
		for _, leeway := range []time.Duration{-1, time.Hour} {
			_, err := k.check(p, "id", token, VerifyConfig{Leeway: leeway})
			if got, ok := errors.AsType[*OptionError](err); !ok || got.Option != "Leeway" {
				t.Errorf("leeway of %v: %v", leeway, err)
			}
		}
	})
}

func conformDerivation(t *testing.T, k kind) {
	made := func(cfg PhoenixConfig) string {
		token, err := k.make(newPhoenix(t, cfg), "id", "1", SignConfig{})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	plain := newPhoenix(t, PhoenixConfig{})
	configs := map[string]PhoenixConfig{
		"iterations": {KeyIterations: 1}, "sha384": {KeyDigest: SHA384}, "sha512": {KeyDigest: SHA512},
	}
	if k.name == "sign" {
		configs["length"] = PhoenixConfig{KeyLength: 64}
	} else if _, err := newPhoenix(t, PhoenixConfig{KeyLength: 64}).Encrypt("id", "1", SignConfig{}); err == nil {
		t.Error("a key of 64 bytes encrypts")
	}
	for name, cfg := range configs {
		token := made(cfg)
		_, err := k.check(plain, "id", token, VerifyConfig{})
		check(t, name+" differs from the default, which", nil, err, nil, ErrInvalid)
		got, err := k.check(newPhoenix(t, cfg), "id", token, VerifyConfig{})
		check(t, "the same "+name, got, err, "1", nil)
	}
	explicit := PhoenixConfig{KeyIterations: 1000, KeyLength: 32, KeyDigest: SHA256}
	got, err := k.check(plain, "id", made(explicit), VerifyConfig{})
	check(t, "the defaults", got, err, "1", nil)
}

// Tokens under the other digests and in older envelopes are accepted.
func TestOtherForms(t *testing.T) {
	p := newPhoenix(t, PhoenixConfig{})
	key, _ := p.keys.key("id")
	now := time.Now().UnixMilli()
	sign := func(header string, term any) string {
		b, err := encodeTerm(term)
		if err != nil {
			t.Fatal(err)
		}
		signed := header + "." + b64.EncodeToString(b)
		digest := digestOf(header)
		if digest == nil {
			digest = digestOf(headerHS256)
		}
		return signed + "." + b64.EncodeToString(mac(digest, key, signed))
	}
	old := now - 25*3600*1000
	for _, c := range []struct {
		name   string
		header string
		term   any
		err    error
	}{
		{"sha256", headerHS256, Tuple{"x", now, 60}, nil},
		{"sha384", headerHS384, Tuple{"x", now, 60}, nil},
		{"sha512", headerHS512, Tuple{"x", now, 60}, nil},
		{"none", "bm9uZQ", Tuple{"x", now, 60}, ErrInvalid},
		{"no header", "", Tuple{"x", now, 60}, ErrInvalid},
		{"pair", headerHS256, Tuple{"x", now}, nil},
		{"old pair", headerHS256, Tuple{"x", old}, ErrExpired},
		{"map", headerHS256, map[any]any{Atom("data"): "x", Atom("signed"): now}, nil},
		{"old map", headerHS256, map[any]any{Atom("data"): "x", Atom("signed"): old}, ErrExpired},
		{"map of strings", headerHS256, map[string]any{"data": "x", "signed": now}, ErrInvalid},
		{"infinity", headerHS256, Tuple{"x", 0, infinity}, nil},
		{"zero", headerHS256, Tuple{"x", now, 0}, ErrExpired},
		{"negative", headerHS256, Tuple{"x", now, -5}, ErrExpired},
		{"huge", headerHS256, Tuple{"x", now, int64(math.MaxInt64)}, nil},
		{"long ago", headerHS256, Tuple{"x", int64(math.MinInt64), 60}, ErrExpired},
		{"other atom", headerHS256, Tuple{"x", now, Atom("never")}, ErrInvalid},
		{"time as text", headerHS256, Tuple{"x", "now", 60}, ErrInvalid},
		{"four", headerHS256, Tuple{"x", now, 60, 1}, ErrInvalid},
		{"no envelope", headerHS256, "x", ErrInvalid},
	} {
		var want any = "x"
		if c.err != nil {
			want = nil
		}
		got, err := p.Verify("id", sign(c.header, c.term), VerifyConfig{})
		check(t, c.name, got, err, want, c.err)
	}
}

func TestEncryptedTokensDiffer(t *testing.T) {
	p := newPhoenix(t, PhoenixConfig{})
	a, _ := p.Encrypt("id", "secret", SignConfig{})
	b, _ := p.Encrypt("id", "secret", SignConfig{})
	if a == b || !strings.HasPrefix(a, "XCP.") {
		t.Errorf("tokens are %q and %q", a, b)
	}
	_, err := p.Verify("id", a, VerifyConfig{})
	check(t, "Verify of an encrypted token", nil, err, nil, ErrInvalid)
}

func TestTooMuchDataIsRefused(t *testing.T) {
	p := newPhoenix(t, PhoenixConfig{})
	for _, k := range kinds {
		if _, err := k.make(p, "id", strings.Repeat("x", 7000), SignConfig{}); err == nil {
			t.Errorf("%s makes a token that it would refuse", k.name)
		}
		if _, err := k.make(p, "id", struct{}{}, SignConfig{}); err == nil {
			t.Errorf("%s takes a struct", k.name)
		}
	}
}

func TestKeysAreBounded(t *testing.T) {
	p := newPhoenix(t, PhoenixConfig{KeyIterations: 1, MaxKeys: 3})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				salt := string(rune('a' + (i+j)%20))
				token, err := p.Sign(salt, j, SignConfig{})
				if err != nil {
					t.Error(err)
				}
				if got, err := p.Verify(salt, token, VerifyConfig{}); err != nil || got != int64(j) {
					t.Errorf("Verify returned %v, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(p.keys.bySalt); n > 3 {
		t.Errorf("%d keys are remembered, want 3 at most", n)
	}
}

func TestPhoenixConfigIsChecked(t *testing.T) {
	base := goldenBase
	for option, cfg := range map[string]PhoenixConfig{
		"SecretKeyBase": {SecretKeyBase: "short"},
		"KeyIterations": {SecretKeyBase: base, KeyIterations: -1},
		"KeyLength":     {SecretKeyBase: base, KeyLength: 8},
		"KeyDigest":     {SecretKeyBase: base, KeyDigest: 9},
		"MaxKeys":       {SecretKeyBase: base, MaxKeys: -1},
	} {
		_, err := NewPhoenix(cfg)
		if got, ok := errors.AsType[*OptionError](err); !ok || got.Option != option || strings.Contains(err.Error(), "short") {
			t.Errorf("a bad %s returned %v", option, err)
		}
	}
}
