package token

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"math"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/penstock-go/penstock/internal/option"
)

// Forever is the max age of a token that never expires.
const Forever time.Duration = math.MaxInt64

// DefaultMaxAge is the default of SignConfig.MaxAge.
const DefaultMaxAge = 24 * time.Hour

// DefaultLeeway is the default of VerifyConfig.Leeway and JWTConfig.Leeway. Clocks
// that are kept by NTP differ by less, and a token is often used at once.
const DefaultLeeway = 5 * time.Second

// NoLeeway refuses every token that begins in the future.
const NoLeeway time.Duration = 1

// maxLeeway bounds a leeway, so that a mistaken unit is noticed.
const maxLeeway = 5 * time.Minute

// leewayOf fills in the default of a leeway and checks it.
func leewayOf(o option.Owner, leeway time.Duration) (time.Duration, error) {
	option.Default(&leeway, DefaultLeeway)
	return leeway, option.Within(o, "Leeway", leeway, 0, maxLeeway)
}

// PhoenixConfig configures the derivation of keys. Tokens are interchangeable with
// those of a Phoenix application that uses the same values.
type PhoenixConfig struct {
	// SecretKeyBase is the secret that keys are derived from, 20 bytes or
	// more. Required.
	SecretKeyBase string
	// KeyIterations is the number of rounds of PBKDF2. Default: 1,000, which is
	// Phoenix's and enough for a random secret, not for a password.
	KeyIterations int
	// KeyLength is the length of keys in bytes, 16 to 64. Encrypting needs 32.
	// Default: 32.
	KeyLength int
	// KeyDigest is PBKDF2's hash function. Default: [SHA256].
	KeyDigest Digest
	// MaxKeys bounds the number of salts whose keys are remembered. Default: 64.
	MaxKeys int
}

// Phoenix makes and checks tokens in the format of Phoenix.Token. It is safe for
// concurrent use.
type Phoenix struct{ keys keys }

// NewPhoenix returns a Phoenix for cfg. The only errors are those of the
// config, each a [*OptionError].
func NewPhoenix(cfg PhoenixConfig) (*Phoenix, error) {
	option.Default(&cfg.KeyIterations, 1000)
	option.Default(&cfg.KeyLength, 32)
	option.Default(&cfg.MaxKeys, 64)
	switch {
	case len(cfg.SecretKeyBase) < 20:
		return nil, phoenixOwner.Refuse("SecretKeyBase", option.Hidden, "20 bytes or more")
	case cfg.KeyIterations < 1:
		return nil, phoenixOwner.Refuse("KeyIterations", cfg.KeyIterations, "1 or more")
	case cfg.KeyLength < 16 || cfg.KeyLength > 64:
		return nil, phoenixOwner.Refuse("KeyLength", cfg.KeyLength, "16 to 64")
	case cfg.KeyDigest > SHA512:
		return nil, phoenixOwner.Refuse("KeyDigest", cfg.KeyDigest, "one of the Digest constants")
	case cfg.MaxKeys < 1:
		return nil, phoenixOwner.Refuse("MaxKeys", cfg.MaxKeys, "1 or more")
	}
	return &Phoenix{keys: keys{cfg: cfg, bySalt: make(map[string][]byte)}}, nil
}

// SignConfig are written into a token beside its data, by [Phoenix.Sign] and
// [Phoenix.Encrypt].
type SignConfig struct {
	// SignedAt is the time at which the token's life begins. Default: now.
	SignedAt time.Time
	// MaxAge is written into the token, in whole seconds. 0 is
	// [DefaultMaxAge], [Forever] never expires, a negative one is expired from
	// the start.
	MaxAge time.Duration
}

// VerifyConfig are the conditions of [Phoenix.Verify] and [Phoenix.Decrypt].
type VerifyConfig struct {
	// MaxAge bounds the age of the token. With 0 the token's own max age
	// counts, [Forever] accepts any age, and with a negative one every token is
	// expired.
	MaxAge time.Duration
	// Leeway bounds by how much the signer's clock may be ahead of this one: a token
	// that was signed later than that from now is invalid. It does not prolong the
	// life of a token. 0 to 5 minutes. Default: [DefaultLeeway].
	Leeway time.Duration
}

// b64 is the encoding of all parts of a token. Strict refuses a last character
// with bits that do not count, which would make several texts the same token.
var b64 = base64.RawURLEncoding.Strict()

// The protected headers, which are base64url of HS256, HS384 and HS512. Tokens
// are made with the first.
const (
	headerHS256 = "SFMyNTY"
	headerHS384 = "SFMzODQ"
	headerHS512 = "SFM1MTI"
)

// Sign returns a signed token that carries data, which anyone can read. Data may
// be nil, bool, an integer, float64, string, []byte, [Atom], [Tuple], []any,
// []string, map[string]any and map[any]any of those. salt names the purpose of the
// token, which is valid under the same salt only.
func (p *Phoenix) Sign(salt string, data any, cfg SignConfig) (string, error) {
	term, err := envelope(data, cfg)
	if err != nil {
		return "", err
	}
	key, err := p.keys.key(salt)
	if err != nil {
		return "", fmt.Errorf("token: sign: %w", err)
	}
	signed := headerHS256 + "." + b64.EncodeToString(term)
	return fits(signed + "." + b64.EncodeToString(mac(sha256.New, key, signed)))
}

// Verify returns the data of a token that Sign has made. A binary comes back
// as string, a list as []any, a map as map[any]any and integers as int64.
func (p *Phoenix) Verify(salt, token string, cfg VerifyConfig) (any, error) {
	if token == "" {
		return nil, ErrMissing
	}
	if !plausible(token) {
		return nil, ErrInvalid
	}
	// A token is header.payload.signature, of which the signature covers the text
	// of the first two. Nothing of them is decoded before it is checked.
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		return nil, ErrInvalid
	}
	signed := token[:dot]
	header, payload, _ := strings.Cut(signed, ".")
	digest := digestOf(header)
	got, err := b64.DecodeString(token[dot+1:])
	if digest == nil || err != nil {
		return nil, ErrInvalid
	}
	key, err := p.keys.key(salt)
	if err != nil || !hmac.Equal(got, mac(digest, key, signed)) {
		return nil, ErrInvalid
	}
	term, err := b64.DecodeString(payload)
	if err != nil {
		return nil, ErrInvalid
	}
	return open(term, cfg)
}

// digestOf returns the hash function that a protected header names, or nil. The
// header is not decoded: the three texts are the only ones that are accepted.
func digestOf(header string) func() hash.Hash {
	// All are base64url of the name, without padding.
	switch header {
	case headerHS256:
		return sha256.New
	case headerHS384:
		return sha512.New384
	case headerHS512:
		return sha512.New
	}
	return nil
}

// mac returns the HMAC of text. Compare it with hmac.Equal, in constant time.
func mac(digest func() hash.Hash, key []byte, text string) []byte {
	h := hmac.New(digest, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

const (
	// encryptedPrefix precedes base64url of nonce, tag and cipher text.
	encryptedPrefix = "XCP."
	// encryptedAAD is the text that Phoenix authenticates beside the cipher text.
	// The name of another cipher is part of the format.
	encryptedAAD = "A128GCM"

	// The sizes in bytes: 24 for the nonce, which is large enough to be random,
	// and 16 for the tag.
	nonceSize = chacha20poly1305.NonceSizeX
	tagSize   = chacha20poly1305.Overhead
)

// Encrypt is Sign for secret data: XChaCha20-Poly1305 under the salt's key, which
// must have 32 bytes.
func (p *Phoenix) Encrypt(salt string, data any, cfg SignConfig) (string, error) {
	term, err := envelope(data, cfg)
	if err != nil {
		return "", err
	}
	key, err := p.keys.key(salt)
	if err != nil {
		return "", fmt.Errorf("token: encrypt: %w", err)
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return "", phoenixOwner.Refuse("KeyLength", len(key), "32 for encrypting")
	}
	// The places of nonce and tag; the cipher text is appended once it is known.
	out := make([]byte, nonceSize+tagSize, nonceSize+tagSize+len(term)+tagSize)
	_, _ = rand.Read(out[:nonceSize]) // never fails
	sealed := aead.Seal(nil, out[:nonceSize], term, []byte(encryptedAAD))
	// The library puts the tag last, the format first.
	copy(out[nonceSize:], sealed[len(term):])
	out = append(out, sealed[:len(term)]...)
	return fits(encryptedPrefix + b64.EncodeToString(out))
}

// Decrypt returns the data of a token that Encrypt has made, as Verify does.
func (p *Phoenix) Decrypt(salt, token string, cfg VerifyConfig) (any, error) {
	if token == "" {
		return nil, ErrMissing
	}
	if !plausible(token) {
		return nil, ErrInvalid
	}
	// The length is checked before anything is cut from raw.
	text, ok := strings.CutPrefix(token, encryptedPrefix)
	raw, err := b64.DecodeString(text)
	if !ok || err != nil || len(raw) < nonceSize+tagSize {
		return nil, ErrInvalid
	}
	key, err := p.keys.key(salt)
	if err != nil {
		return nil, ErrInvalid
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, phoenixOwner.Refuse("KeyLength", len(key), "32 for decrypting")
	}
	nonce, tag, sealed := raw[:nonceSize], raw[nonceSize:nonceSize+tagSize], raw[nonceSize+tagSize:]
	term, err := aead.Open(nil, nonce, append(append([]byte{}, sealed...), tag...), []byte(encryptedAAD))
	if err != nil {
		return nil, ErrInvalid
	}
	return open(term, cfg)
}

// fits refuses a token that would be too long to be verified, when it is made and
// not when a user shows it.
func fits(token string) (string, error) {
	if len(token) > MaxBytes {
		return "", fmt.Errorf("token: data makes a token of %d bytes, want %d at most", len(token), MaxBytes)
	}
	return token, nil
}
