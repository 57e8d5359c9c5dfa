package main

import (
	"fmt"
	"log"
	"time"

	"github.com/penstock-go/penstock/token"
)

// The token with which a client connects, made by the program that signs users in. It
// has the secret of -secret-file, and hands the token to the page as authToken.
func Example_socketToken() {
	secret := "the content of the secret file"
	signer, err := token.NewPhoenix(token.PhoenixConfig{SecretKeyBase: secret})
	if err != nil {
		log.Fatal(err)
	}
	age := 15 * time.Minute
	tok, err := signer.Sign("user socket", map[string]any{
		"user": "42", "exp": time.Now().Add(age).UnixMilli(),
	}, token.SignConfig{MaxAge: age})
	if err != nil {
		log.Fatal(err)
	}

	// The push pipeline reads it with the same secret.
	u, err := identify(signer, tok)
	fmt.Println(u.id, err)
	// Output: 42 <nil>
}
