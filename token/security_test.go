package token

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestSecurity holds the row of docs/security.md that is about this package.
// What it says of Phoenix's tokens is in TestConformance too, row by row of
// that protocol.
func TestSecurity(t *testing.T) {
	t.Run("S04_tokens", func(t *testing.T) {
		t.Run("claims", jwtClaims)       // expired 1 s ago, of another service, not yet
		t.Run("forgeries", jwtForgeries) // none, HS for RS, truncated, every bit
		t.Run("key ids", jwtKeyIDs)      // path traversal, SQL
		for _, k := range kinds {
			t.Run(k.name, func(t *testing.T) {
				conformInvalid(t, k)
				p := newPhoenix(t, PhoenixConfig{})
				old, err := k.make(p, "id", "1", SignConfig{SignedAt: time.Now().Add(-time.Minute - time.Second), MaxAge: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				got, err := k.check(p, "id", old, VerifyConfig{})
				check(t, "expired 1 s ago", got, err, nil, ErrExpired)
			})
		}
		t.Run("timing", timing)
	})
}

// timing compares how long it takes to refuse signatures that are right but
// for their end with those that are wrong from the start, by Welch's t-test. If
// the comparison stopped at the first difference, one byte after the other
// could be found out.
func timing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	p := newPhoenix(t, PhoenixConfig{})
	j := newJWT(t, JWTConfig{Secret: jwtSecret})
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for name, scheme := range map[string]struct {
		sign   func(n int) (string, error)
		verify func(string) error
	}{
		"phoenix": {
			func(n int) (string, error) { return p.Sign("id", int64(n), SignConfig{}) },
			func(s string) error { _, err := p.Verify("id", s, VerifyConfig{}); return err },
		},
		"jwt": {
			func(n int) (string, error) {
				return j.Sign(jwt.RegisteredClaims{ID: strconv.Itoa(n), ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))})
			},
			func(s string) error { return j.Verify(s, &jwt.RegisteredClaims{}) },
		},
	} {
		// Both classes are made in the same way, of eight tokens with eight endings
		// each: the processor learns the one as well as the other.
		var variants [2][]string
		for n := range 8 {
			good, err := scheme.sign(10 + n)
			if err != nil {
				t.Fatal(err)
			}
			wrong := []byte(good)
			for i := strings.LastIndexByte(good, '.') + 1; i < len(wrong)-1; i++ { // the very last has bits that do not count
				wrong[i] = letters[random.IntN(len(letters))]
			}
			for range 8 {
				for class, base := range []string{good, string(wrong)} {
					b := []byte(base)
					for i := len(b) - 4; i < len(b)-1; i++ {
						b[i] = letters[random.IntN(len(letters))]
					}
					if string(b) == good {
						b[len(b)-2] ^= 1 // by chance it was right
					}
					variants[class] = append(variants[class], string(b))
				}
			}
		}
		var took [2][]float64
		for range 20_000 {
			class := random.IntN(2)
			token := variants[class][random.IntN(64)]
			begin := time.Now()
			err := scheme.verify(token)
			d := time.Since(begin)
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%s: %v", name, err)
			}
			took[class] = append(took[class], float64(d))
		}
		var mean, spread [2]float64
		for class := range took {
			slices.Sort(took[class])
			kept := took[class][:len(took[class])*8/10] // without what the machine did meanwhile
			for _, d := range kept {
				mean[class] += d / float64(len(kept))
			}
			for _, d := range kept {
				spread[class] += (d - mean[class]) * (d - mean[class]) / float64(len(kept)-1) / float64(len(kept))
			}
		}
		score := (mean[0] - mean[1]) / math.Sqrt(spread[0]+spread[1])
		t.Logf("%s: %.0f ns right but for the end, %.0f ns wrong, t = %.2f", name, mean[0], mean[1], score)
		if math.Abs(score) > 10 && math.Abs(mean[0]-mean[1]) > 0.02*mean[1] {
			t.Errorf("%s: the time to refuse depends on how much of the signature is right", name)
		}
	}
}
