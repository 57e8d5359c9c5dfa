package token

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"sync"
)

// Digest is the hash function with which keys are derived, not the one that signs.
type Digest uint8

// The digests.
const (
	SHA256 Digest = iota
	SHA384
	SHA512
)

// hash returns the function that the digest names.
func (d Digest) hash() func() hash.Hash {
	switch d {
	case SHA384:
		return sha512.New384
	case SHA512:
		return sha512.New
	}
	return sha256.New
}

// keys derives a key for each salt and remembers a bounded number of them, since a
// derivation takes a thousand rounds. It is safe for concurrent use; mu guards
// bySalt and is not held during a derivation.
type keys struct {
	cfg PhoenixConfig

	mu     sync.RWMutex
	bySalt map[string][]byte
}

// key returns the key for a salt, which the caller must not change. Two goroutines
// that need the same new key both derive it, which is rare and harmless.
func (k *keys) key(salt string) ([]byte, error) {
	// The common case: a service has a few salts, all derived already.
	k.mu.RLock()
	key := k.bySalt[salt]
	k.mu.RUnlock()
	if key != nil {
		return key, nil
	}
	key, err := pbkdf2.Key(k.cfg.KeyDigest.hash(), k.cfg.SecretKeyBase, []byte(salt), k.cfg.KeyIterations, k.cfg.KeyLength)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	// Salts are the program's, not a client's. The bound is for a program that
	// makes them up.
	if len(k.bySalt) >= k.cfg.MaxKeys {
		for old := range k.bySalt { // any of them: it is derived again when it is needed
			delete(k.bySalt, old)
			break
		}
	}
	k.bySalt[salt] = key
	return key, nil
}
