package main

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/token"
)

// The purposes of tokens: one of a purpose is not valid for another.
const (
	saltSession = "session"
	saltCart    = "shopping cart serialization"
	saltForm    = "form"
	saltShop    = "shop socket"
	saltAdmin   = "admin socket"
)

// How long tokens are valid.
const (
	cartAge  = 7 * 24 * time.Hour // a cart, and the session that it belongs to
	formAge  = 24 * time.Hour
	adminAge = time.Hour
)

// cartIDLength is the length of the id of a cart.
const cartIDLength = 64

// errToken: a token is forged, expired, or another shopper's.
var errToken = errors.New("not a valid token")

// signer makes and checks all tokens of the shop.
type signer struct{ tokens *token.Phoenix }

func newSigner(secret string) (signer, error) {
	p, err := token.NewPhoenix(token.PhoenixConfig{SecretKeyBase: secret})
	return signer{p}, err
}

// newCartID returns a random id that cannot be guessed.
func newCartID() string { return (rand.Text() + rand.Text() + rand.Text())[:cartIDLength] }

func validCartID(id string) bool {
	if len(id) != cartIDLength {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// text makes a token that carries a text.
func (s signer) text(salt, text string, age time.Duration) (string, error) {
	return s.tokens.Sign(salt, text, token.SignConfig{MaxAge: age})
}

// readText returns the text of a token.
func (s signer) readText(salt, tok string) (string, error) {
	data, err := s.tokens.Verify(salt, tok, token.VerifyConfig{})
	text, ok := data.(string)
	if err != nil || !ok {
		return "", errToken
	}
	return text, nil
}

// session returns the cart id of a session cookie's value.
func (s signer) session(value string) (string, error) {
	id, err := s.readText(saltSession, value)
	if err != nil || !validCartID(id) {
		return "", errToken
	}
	return id, nil
}

// checkForm reports whether a form's token was made for this cart.
func (s signer) checkForm(tok, cartID string) bool {
	id, err := s.readText(saltForm, tok)
	return err == nil && subtle.ConstantTimeCompare([]byte(id), []byte(cartID)) == 1
}

// signCart makes the token by which a browser keeps a cart. It names the cart that it
// belongs to, so that it is of no use to another shopper.
func (s signer) signCart(id string, c cart) (string, error) {
	items := make([]any, len(c.items))
	for i, item := range c.items {
		items[i] = item
	}
	return s.tokens.Sign(saltCart, map[string]any{"id": id, "items": items}, token.SignConfig{MaxAge: cartAge})
}

// readCart returns the cart of a token. It is empty if there is no token.
func (s signer) readCart(id, tok string) (c cart, err error) {
	if tok == "" {
		return cart{}, nil
	}
	data, err := s.tokens.Verify(saltCart, tok, token.VerifyConfig{MaxAge: cartAge})
	if err != nil {
		return cart{}, errToken
	}
	fields, _ := data.(map[any]any)
	items, ok := fields["items"].([]any)
	if fields["id"] != id || !ok || len(items) > maxItems {
		return cart{}, errToken
	}
	for _, item := range items {
		n, ok := item.(int64)
		if !ok {
			return cart{}, fmt.Errorf("%w: not a cart", errToken)
		}
		c.items = append(c.items, n)
	}
	return c, nil
}
