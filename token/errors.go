package token

import (
	"errors"

	"github.com/penstock-go/penstock/internal/option"
)

// The results of a check; see the package comment.
var (
	ErrMissing = errors.New("token: missing")
	ErrInvalid = errors.New("token: invalid")
	ErrExpired = errors.New("token: expired")
)

// MaxBytes bounds the length of a token: a longer one is invalid.
const MaxBytes = 8192

const (
	phoenixOwner = option.Owner("token.Phoenix")
	jwtOwner     = option.Owner("token.JWT")
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// plausible reports whether a token has a length and an alphabet with which it may
// be decoded. The standard library's decoder skips line ends, which would make
// several texts the same token.
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
