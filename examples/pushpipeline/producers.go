package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/penstock-go/penstock/token"
)

// pushAudience must be among the audiences of a producer's JWT.
const pushAudience = "push"

// minKey is how many bytes a shared key must have at least.
const minKey = 20

// producers decides which requests may push, and how much. The zero value lets
// every request push, as the producer "". Its fields do not change.
type producers struct {
	keys [][sha256.Size]byte // of the shared keys, so that all have one length
	jwt  *token.JWT          // nil if there are no tokens
}

// loadProducers reads the files of -push-key-file and -push-jwt-file; "" is none.
func loadProducers(keyFile, jwtFile string) (producers, error) {
	var p producers
	if keyFile != "" {
		text, err := os.ReadFile(keyFile)
		if err != nil {
			return p, fmt.Errorf("-push-key-file: %w", err)
		}
		// Several keys let one be replaced while the other is in use.
		for key := range strings.FieldsSeq(string(text)) {
			if len(key) < minKey {
				return p, fmt.Errorf("-push-key-file: a key has %d bytes: %d or more are required", len(key), minKey)
			}
			p.keys = append(p.keys, sha256.Sum256([]byte(key)))
		}
		if len(p.keys) == 0 {
			return p, errors.New("-push-key-file has no key")
		}
	}
	if jwtFile != "" {
		text, err := os.ReadFile(jwtFile)
		if err != nil {
			return p, fmt.Errorf("-push-jwt-file: %w", err)
		}
		cfg := token.JWTConfig{Audience: pushAudience, Leeway: 30 * time.Second}
		if block, _ := pem.Decode(text); block != nil {
			key, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return p, errors.New("-push-jwt-file: the PEM block is no public key")
			}
			// Public-key algorithms only, so that the key is never taken for a secret.
			cfg.Algorithms = []string{"RS256", "ES256", "EdDSA"}
			cfg.Key = func(string) (any, error) { return key, nil }
		} else if cfg.Secret = bytes.TrimSpace(text); len(cfg.Secret) == 0 {
			return p, errors.New("-push-jwt-file has neither a secret nor a public key")
		}
		if p.jwt, err = token.NewJWT(cfg); err != nil {
			return p, fmt.Errorf("-push-jwt-file: %w", redact(err))
		}
	}
	return p, nil
}

// redact leaves the refused value out of an error about a secret.
func redact(err error) error {
	var refused *token.OptionError
	if errors.As(err, &refused) {
		return fmt.Errorf("%s must be %s", refused.Option, refused.Allowed)
	}
	return err
}

// errUnauthorized is for a request without the right credentials. It says no more,
// so that an attacker learns nothing from it.
var errUnauthorized = errors.New("credentials are required: Authorization: Bearer, with a key or a token of this program")

// open reports whether requests need no credentials.
func (p producers) open() bool { return len(p.keys) == 0 && p.jwt == nil }

// name returns the producer that a request comes from: the subject of its token,
// "key" for a shared key, "" if no credentials are needed.
func (p producers) name(r *http.Request) (string, error) {
	if p.open() {
		return "", nil
	}
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", errUnauthorized
	}
	scheme, credentials, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || len(credentials) > token.MaxBytes {
		return "", errUnauthorized
	}
	// The hashes have one length, and all keys are compared, so that the time says
	// nothing about any of them.
	given, same := sha256.Sum256([]byte(credentials)), 0
	for _, key := range p.keys {
		same |= subtle.ConstantTimeCompare(key[:], given[:])
	}
	if same == 1 {
		return "key", nil
	}
	var claims jwt.RegisteredClaims
	if p.jwt == nil || p.jwt.Verify(credentials, &claims) != nil || claims.Subject == "" || len(claims.Subject) > maxUserID {
		return "", errUnauthorized
	}
	return "jwt:" + claims.Subject, nil
}

// pacer bounds the pushes a second of each producer. A producer may make a second's
// worth at once; a request that exceeds what is left is let through and paid for
// before the next one, so that no request is too large for its budget. Any goroutine
// may use it.
type pacer struct {
	rate float64 // pushes a second; 0 for no bound
	mu   sync.Mutex
	// Guarded by mu. A producer whose budget is full again is forgotten when there are
	// many.
	budgets map[string]budget
	sweepAt int
}

// budget is what a producer had left at a time.
type budget struct {
	left float64 // pushes; below 0 after a large request
	at   time.Time
}

// newPacer returns a pacer under which no producer has pushed yet.
func newPacer(rate float64) *pacer {
	return &pacer{rate: rate, budgets: make(map[string]budget), sweepAt: 1024}
}

// spend takes n pushes from a producer's budget. If nothing is left it takes nothing
// and returns how long to wait.
func (p *pacer) spend(producer string, n int, now time.Time) (wait time.Duration, ok bool) {
	if p.rate <= 0 {
		return 0, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.budgets) >= p.sweepAt {
		for name, b := range p.budgets {
			if p.at(b, now) >= p.burst() {
				delete(p.budgets, name)
			}
		}
		p.sweepAt = max(1024, 2*len(p.budgets))
	}
	left := p.burst()
	if b, known := p.budgets[producer]; known {
		left = p.at(b, now)
	}
	if left < 1 {
		return time.Duration((1 - left) / p.rate * float64(time.Second)), false
	}
	p.budgets[producer] = budget{left - float64(n), now}
	return 0, true
}

// burst is how many pushes a producer that has paused may make at once.
func (p *pacer) burst() float64 { return max(1, p.rate) }

// at returns what is left of a budget by now.
func (p *pacer) at(b budget, now time.Time) float64 {
	return min(p.burst(), b.left+now.Sub(b.at).Seconds()*p.rate)
}

// refund gives back what was taken for pushes that were refused.
func (p *pacer) refund(producer string, n int) {
	if p.rate <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if b, known := p.budgets[producer]; known {
		b.left += float64(n)
		p.budgets[producer] = b
	}
}

// seconds rounds up to whole seconds, 1 at least, as Retry-After has them.
func seconds(d time.Duration) int { return int(max(1, math.Ceil(d.Seconds()))) }
