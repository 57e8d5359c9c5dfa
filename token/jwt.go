package token

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/penstock-go/penstock/internal/option"
)

// JWTConfig selects the JSON Web Tokens that are accepted. Either Secret or Key
// must be set.
type JWTConfig struct {
	// Algorithms are the accepted signing algorithms. A token's own header
	// never adds to them. Algorithms with a shared secret (HS256, HS384, HS512)
	// cannot be combined with those with a public key, since the public key
	// could then be used as a secret; "none" is refused. Default: HS256.
	Algorithms []string

	// Secret is the one shared secret, of 32 bytes or more. [JWT.Sign] needs
	// it.
	Secret []byte

	// Key returns the key that verifies a token, for the key id in its header,
	// "" if there is none: a []byte for shared secrets, else a
	// *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey. An error means
	// that there is no such key. The id has at most 64 characters from
	// A-Z a-z 0-9 . _ - and is chosen by the sender, who may be an attacker.
	Key func(keyID string) (any, error)

	// Issuer must be the token's, if it is set.
	Issuer string

	// Audience must be among the token's, if it is set.
	Audience string

	// AllowNoExpiry accepts tokens without a time of expiry, which never
	// expire.
	AllowNoExpiry bool

	// Leeway bounds by how much the issuer's clock may be ahead of this one: it
	// applies to the times of issue (iat) and of the begin (nbf). It does not prolong
	// the life of a token (exp). 0 to 5 minutes. Default: [DefaultLeeway].
	Leeway time.Duration
}

// JWT makes and checks JSON Web Tokens (RFC 7519). It is safe for concurrent use
// and never changes.
type JWT struct {
	cfg    JWTConfig
	parser *jwt.Parser
}

// The accepted names of signing algorithms, with a shared secret and with a public
// key.
var (
	secretAlgorithms = []string{"HS256", "HS384", "HS512"}
	publicAlgorithms = []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
	}
)

// NewJWT returns a JWT for cfg. The only errors are those of the config, each a
// [*OptionError].
func NewJWT(cfg JWTConfig) (*JWT, error) {
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []string{"HS256"}
	}
	// Copies: a caller that changes its slices later must not change what is
	// accepted.
	cfg.Algorithms = slices.Clone(cfg.Algorithms)
	cfg.Secret = slices.Clone(cfg.Secret)
	shared := 0 // algorithms with a shared secret
	for _, a := range cfg.Algorithms {
		switch {
		case slices.Contains(secretAlgorithms, a):
			shared++
		case !slices.Contains(publicAlgorithms, a):
			return nil, jwtOwner.Refuse("Algorithms", cfg.Algorithms, "names of signing algorithms other than none")
		}
	}
	switch {
	case shared != 0 && shared != len(cfg.Algorithms):
		return nil, jwtOwner.Refuse("Algorithms", cfg.Algorithms, "either shared secrets or public keys, not both")
	case (cfg.Secret == nil) == (cfg.Key == nil):
		return nil, jwtOwner.Refuse("Secret", option.Hidden, "either Secret or Key")
	case cfg.Secret != nil && shared == 0:
		return nil, jwtOwner.Refuse("Secret", option.Hidden, "an algorithm with a shared secret")
	case cfg.Secret != nil && len(cfg.Secret) < 32:
		return nil, jwtOwner.Refuse("Secret", option.Hidden, "32 bytes or more")
	}
	var err error
	if cfg.Leeway, err = leewayOf(jwtOwner, cfg.Leeway); err != nil {
		return nil, err
	}
	// Strict decoding refuses a second text for the same token. The time of issue
	// is checked only if the token has one.
	opts := []jwt.ParserOption{
		jwt.WithValidMethods(cfg.Algorithms),
		jwt.WithStrictDecoding(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(cfg.Leeway),
	}
	if !cfg.AllowNoExpiry {
		opts = append(opts, jwt.WithExpirationRequired())
	}
	if cfg.Issuer != "" {
		opts = append(opts, jwt.WithIssuer(cfg.Issuer))
	}
	if cfg.Audience != "" {
		opts = append(opts, jwt.WithAudience(cfg.Audience))
	}
	return &JWT{cfg: cfg, parser: jwt.NewParser(opts...)}, nil
}

// Verify reads the token's claims into claims, a pointer such as
// *jwt.RegisteredClaims or a type of your own, and checks signature, algorithm,
// key id, expiry, not-before, issued-at, issuer and audience. claims must not be
// used if there is an error. It returns one of the errors of this package only,
// never why a token is invalid.
func (j *JWT) Verify(token string, claims jwt.Claims) error {
	if token == "" {
		return ErrMissing
	}
	if !plausible(token) {
		return ErrInvalid
	}
	// The parser verifies the signature before it looks at the claims, so
	// ErrTokenExpired is of a genuine token.
	_, err := j.parser.ParseWithClaims(token, claims, j.key)
	switch {
	case err == nil:
		return expired(claims)
	case errors.Is(err, jwt.ErrTokenExpired) && !slices.ContainsFunc(otherFaults, func(f error) bool { return errors.Is(err, f) }):
		return ErrExpired
	}
	return ErrInvalid
}

// expired returns ErrExpired if the claims have expired. The parser has checked this
// already, but with the leeway, which must not prolong a token's life.
func expired(claims jwt.Claims) error {
	end, err := claims.GetExpirationTime()
	switch {
	case err != nil:
		return ErrInvalid
	case end != nil && !time.Now().Before(end.Time):
		return ErrExpired
	}
	return nil
}

// otherFaults are the faults that make a token invalid at any time, also when it
// has expired.
var otherFaults = []error{
	jwt.ErrTokenInvalidAudience, jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidSubject, jwt.ErrTokenNotValidYet,
	jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenRequiredClaimMissing, jwt.ErrInvalidType,
}

// Sign returns a token with claims, signed with the shared secret and the first
// of the algorithms. Nothing is added to the claims.
func (j *JWT) Sign(claims jwt.Claims) (string, error) {
	if j.cfg.Secret == nil {
		return "", jwtOwner.Refuse("Secret", option.Hidden, "a shared secret for signing")
	}
	token, err := jwt.NewWithClaims(jwt.GetSigningMethod(j.cfg.Algorithms[0]), claims).SignedString(j.cfg.Secret)
	if err != nil {
		return "", err
	}
	return fits(token)
}

// errKeyID refuses a token whose header names no usable key. Callers see
// ErrInvalid.
var errKeyID = errors.New("token: key id")

// key returns the key that verifies a token. The parser calls it before it checks
// the signature, so everything in the header may be an attacker's; the algorithm
// is an accepted one already.
func (j *JWT) key(t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, errKeyID // RFC 7515, 4.1.11: no extension is understood
	}
	id := ""
	if kid, given := t.Header["kid"]; given {
		text, isString := kid.(string)
		if !isString || len(text) > 64 || len(text) == 0 || !plausible(text) {
			return nil, errKeyID
		}
		id = text
	}
	if j.cfg.Key == nil {
		return j.cfg.Secret, nil
	}
	key, err := j.cfg.Key(id)
	return key, cmp.Or(err, nilKey(key))
}

// nilKey refuses a key that is nil or empty, with which anyone could sign.
func nilKey(key any) error {
	if b, isSecret := key.([]byte); key == nil || isSecret && len(b) == 0 {
		return errKeyID
	}
	return nil
}
