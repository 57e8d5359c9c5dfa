package token_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/penstock-go/penstock/token"
)

func ExampleNewPhoenix() {
	tokens, err := token.NewPhoenix(token.PhoenixConfig{SecretKeyBase: strings.Repeat("phxbench", 8)})
	if err != nil {
		fmt.Println(err)
		return
	}
	signed, err := tokens.Sign("user socket", "1", token.SignConfig{SignedAt: time.Unix(1_700_000_000, 0)})
	fmt.Println(signed, err)

	_, err = tokens.Verify("user socket", signed, token.VerifyConfig{})
	fmt.Println(errors.Is(err, token.ErrExpired))

	userID, err := tokens.Verify("user socket", signed, token.VerifyConfig{MaxAge: token.Forever})
	fmt.Println(userID, err)
	// Output:
	// SFMyNTY.g2gDbQAAAAExbgYAAGjlz4sBYgABUYA.e2izbra1wCYezaqvnFJnFJGLXqDrZvHqKdpoMvM06mc <nil>
	// true
	// 1 <nil>
}

func ExampleNewJWT() {
	tokens, err := token.NewJWT(token.JWTConfig{
		Secret:   []byte("thirty-two bytes of random secret"),
		Audience: "push",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	signed, err := tokens.Sign(jwt.RegisteredClaims{
		Subject:   "7",
		Audience:  jwt.ClaimStrings{"push"},
		ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var claims jwt.RegisteredClaims
	fmt.Println(tokens.Verify(signed, &claims), claims.Subject)
	fmt.Println(tokens.Verify(signed[:len(signed)-1], &claims))
	// Output:
	// <nil> 7
	// token: invalid
}
