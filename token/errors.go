package token

import (
	"errors"
	"fmt"
)

// What is wrong with a token; see the package comment.
var (
	ErrMissing = errors.New("token: missing")
	ErrInvalid = errors.New("token: invalid")
	ErrExpired = errors.New("token: expired")
)

// MaxBytes bounds the length of a token that is looked at.
const MaxBytes = 8192

// ConfigError says which option of a config or a call is refused.
type ConfigError struct {
	// Option is the field's name and Want says what is allowed. The value is
	// left out: it may be a secret.
	Option, Want string
}

// Error names the option and what is allowed.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("token: %s: want %s", e.Option, e.Want)
}

// plausible says that a token is of a length and an alphabet that it may be
// decoded. The standard library's decoder skips line ends, which would make
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
