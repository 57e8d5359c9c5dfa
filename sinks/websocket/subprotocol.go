package websocket

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// bearer begins the subprotocol that carries a token. Despite the name, the token
// is in standard base64 without padding, as phoenix.js makes it.
const bearer = "base64url.bearer.phx."

// takeToken returns the client's token, and chooses the subprotocol for the
// response if the transport has one.
func (m *mount) takeToken(r *http.Request, a *admission, transport string) (string, error) {
	// A request of long polling has no subprotocol; phoenix.js sends the token in a
	// header of its own, unencoded.
	if transport == "longpoll" {
		if !m.cfg.AuthToken {
			return "", nil
		}
		return r.Header.Get("X-Phoenix-Authtoken"), nil
	}
	token, asked, ok := m.askedSubprotocols(r)
	if ok {
		a.subprotocol, ok = m.chooseSubprotocol(asked)
	}
	if !ok {
		return "", errSubprotocol
	}
	return token, nil
}

// askedSubprotocols returns the subprotocols that the client asks for, without
// the one that carries a token. It returns false if there are several tokens.
func (m *mount) askedSubprotocols(r *http.Request) (token string, asked []string, ok bool) {
	bearers := 0
	// The header may be repeated, with the same meaning as one list (RFC 6455, 11.3.4).
	for _, line := range r.Header.Values("Sec-Websocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			p = strings.TrimSpace(p)
			if enc, found := strings.CutPrefix(p, bearer); found && m.cfg.AuthToken {
				token = decodeToken(enc)
				bearers++
			} else if p != "" {
				asked = append(asked, p)
			}
		}
	}
	return token, asked, bearers <= 1 // of several none can be preferred
}

// chooseSubprotocol returns the first offered subprotocol that the client asks
// for, or "" if it asks for none or none is offered. It returns false if they
// have none in common.
func (m *mount) chooseSubprotocol(asked []string) (string, bool) {
	// The response then names no subprotocol (RFC 6455, 4.2.2).
	if len(m.offered) == 0 || len(asked) == 0 {
		return "", true
	}
	// The server's order decides, not the client's.
	for _, p := range m.offered {
		if slices.Contains(asked, p) {
			return p, true
		}
	}
	return "", false
}

// maxToken bounds the token in bytes. A longer one is ignored.
const maxToken = 8 << 10

// decodeToken decodes a token in base64 of either alphabet, with or without
// padding. An invalid one is "", which Connect sees as no token.
func decodeToken(enc string) string {
	if len(enc) > maxToken {
		return ""
	}
	// Both alphabets are tried, since clients other than phoenix.js take the name of
	// the subprotocol at its word.
	enc = strings.TrimRight(enc, "=")
	raw, err := base64.RawStdEncoding.DecodeString(enc)
	if err != nil {
		if raw, err = base64.RawURLEncoding.DecodeString(enc); err != nil {
			return ""
		}
	}
	return string(raw)
}
