package token

import (
	"errors"

	"github.com/penstock-go/penstock/internal/option"
)

// The results of a check; see the package comment.
var (
	// ErrMissing is for an empty token, ErrExpired for a genuine one that is too
	// old. All else is ErrInvalid, so that an attacker learns nothing from the
	// error.
	ErrMissing = errors.New("token: missing")
	ErrInvalid = errors.New("token: invalid")
	ErrExpired = errors.New("token: expired")
)

// MaxBytes bounds the length of a token: a longer one is invalid. It bounds the
// work that an unauthenticated client can cause.
const MaxBytes = 8192

const (
	// The names of the types in an OptionError.
	phoenixOwner = option.Owner("token.Phoenix")
	jwtOwner     = option.Owner("token.JWT")
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// plausible reports whether a token is not too long and has only characters of
// base64url and dots. The standard library's decoder skips line ends, which would
// make several texts the same token.
func plausible(token string) bool {
	if len(token) > MaxBytes {
		return false
	}
	for i := range len(token) {
		switch c := token[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
