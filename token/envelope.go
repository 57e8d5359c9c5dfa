package token

import (
	"math"
	"time"
)

// infinity is the max age of a token that never expires, on the wire.
const infinity = Atom("infinity")

// envelope returns the encoded term {data, signed at in milliseconds, max age in
// seconds}, which is what is signed or encrypted.
func envelope(data any, cfg SignConfig) ([]byte, error) {
	signedAt := cfg.SignedAt
	if signedAt.IsZero() {
		signedAt = time.Now()
	}
	var maxAge any
	switch age := cfg.MaxAge; {
	case age == 0:
		maxAge = int64(DefaultMaxAge / time.Second)
	case age == Forever:
		maxAge = infinity
	// A fraction of a second below 0 would be rounded to 0 without the bound.
	case age < 0:
		maxAge = min(int64(age/time.Second), -1)
	case age%time.Second != 0:
		return nil, phoenixOwner.Refuse("MaxAge", age, "whole seconds")
	default:
		maxAge = int64(age / time.Second)
	}
	return encodeTerm(Tuple{data, signedAt.UnixMilli(), maxAge})
}

// open returns the data of an envelope that is not too old. The envelope must be
// genuine: its signature or tag was checked. It accepts two older forms without a
// max age as well, as Phoenix does.
func open(b []byte, cfg VerifyConfig) (any, error) {
	term, ok := decodeTerm(b)
	if !ok {
		return nil, ErrInvalid
	}
	// Phoenix writes {data, signed, max_age} today, {data, signed} or
	// %{data: data, signed: signed} before.
	var data, signed, maxAge any = nil, nil, int64(DefaultMaxAge / time.Second)
	switch t := term.(type) {
	case Tuple:
		switch len(t) {
		case 3:
			data, signed, maxAge = t[0], t[1], t[2]
		case 2:
			data, signed = t[0], t[1]
		}
	case map[any]any:
		if len(t) == 2 {
			data, signed = t[Atom("data")], t[Atom("signed")]
		}
	}
	signedAt, ok := signed.(int64)
	if !ok {
		return nil, ErrInvalid
	}
	leeway, err := leewayOf(phoenixOwner, cfg.Leeway)
	if err != nil {
		return nil, err
	}
	now := time.Now().UnixMilli()
	// Nothing is signed in the future by a clock that is right. The leeway is added
	// to now, since a difference with signedAt, which is any number, could overflow.
	if signedAt > now+leeway.Milliseconds() {
		return nil, ErrInvalid
	}
	// A token of a clock that is ahead is new: its age is 0, and never negative.
	signedAt = min(signedAt, now)
	// The caller's max age counts before the token's own.
	switch age := cfg.MaxAge; {
	case age == Forever:
		return data, nil
	case age != 0:
		return judge(data, now, signedAt, int64(age/time.Millisecond), age > 0)
	}
	// maxAge may be any term: a comparison with another type is false.
	if maxAge == infinity {
		return data, nil
	}
	seconds, ok := maxAge.(int64)
	if !ok {
		return nil, ErrInvalid
	}
	return judge(data, now, signedAt, milliseconds(seconds), seconds > 0)
}

// milliseconds converts seconds and saturates at the top; below 0 the token does
// not live and the value is not used.
func milliseconds(seconds int64) int64 {
	if seconds > math.MaxInt64/1000 {
		return math.MaxInt64
	}
	return seconds * 1000
}

// judge returns the data of a token unless it has expired: lives is false, or it
// is older than maxAge milliseconds. signedAt is at most now. It compares a
// difference, which cannot overflow as an unsigned number, where a sum could.
func judge(data any, now, signedAt, maxAge int64, lives bool) (any, error) {
	if !lives || uint64(now)-uint64(signedAt) > uint64(maxAge) {
		return nil, ErrExpired
	}
	return data, nil
}
