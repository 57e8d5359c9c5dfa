package websocket

import (
	"net/http"
	"strings"
)

// deflateExtension is the name of the extension, and what the response always says
// of it: no context is taken over in either direction (RFC 7692, 7.1.1).
const (
	deflateExtension = "permessage-deflate"
	deflateResponse  = deflateExtension + "; server_no_context_takeover; client_no_context_takeover"
)

// negotiate chooses the first offer of permessage-deflate that can be accepted, if
// the mount compresses. Other extensions are declined in silence, as RFC 6455
// demands (9.1).
func (m *mount) negotiate(r *http.Request, a *admission) {
	if m.deflate == nil {
		return
	}
	for _, offer := range parseExtensions(r.Header.Values("Sec-Websocket-Extensions")) {
		if response, ok := acceptDeflate(offer); ok {
			a.extension = response
			a.format = m.endpoint.formats.deflated(a.format, m.deflate)
			return
		}
	}
}

// extension is one offer: its name and its parameters in order.
type extension struct {
	name   string
	params []param
}

// param is a parameter; it may have no value.
type param struct {
	name, value string
	valued      bool
}

// acceptDeflate returns the response to an offer, or false if it is declined: for
// another extension, a parameter that is unknown, twice or out of range, and a window
// of the server other than 2^15, the only one of compress/flate. A smaller window of
// the client is its own business: the response does not ask for it.
func acceptDeflate(e extension) (response string, ok bool) {
	if e.name != deflateExtension {
		return "", false
	}
	response = deflateResponse
	seen := make(map[string]bool)
	for _, p := range e.params {
		if seen[p.name] {
			return "", false
		}
		seen[p.name] = true
		switch p.name {
		case "server_no_context_takeover", "client_no_context_takeover":
			ok = !p.valued
		case "server_max_window_bits":
			ok = p.value == "15"
			response += "; server_max_window_bits=15"
		case "client_max_window_bits":
			ok = !p.valued || windowBits(p.value)
		default:
			ok = false
		}
		if !ok {
			return "", false
		}
	}
	return response, true
}

// windowBits reports whether a value is a number from 8 to 15 without leading zero.
func windowBits(v string) bool {
	return len(v) == 1 && (v[0] == '8' || v[0] == '9') || len(v) == 2 && v[0] == '1' && v[1] >= '0' && v[1] <= '5'
}

// parseExtensions parses the header of extensions (RFC 6455, 9.1). Of a line with a
// mistake nothing is offered.
func parseExtensions(lines []string) []extension {
	var all []extension
	for _, line := range lines {
		p := extensionParser{rest: line, ok: true}
		list := p.list()
		if p.ok {
			all = append(all, list...)
		}
	}
	return all
}

// extensionParser parses one line.
type extensionParser struct {
	rest string
	ok   bool // no mistake so far
}

// list parses offers, separated by commas, of which some may be empty.
func (p *extensionParser) list() []extension {
	var list []extension
	for p.ok {
		p.space()
		if p.rest == "" {
			return list
		}
		if p.next(',') {
			continue
		}
		e := extension{name: p.token()}
		for p.ok && p.next(';') {
			v := param{name: p.token()}
			if v.valued = p.next('='); v.valued {
				v.value = p.value()
			}
			e.params = append(e.params, v)
		}
		if p.space(); p.rest != "" && p.rest[0] != ',' {
			p.ok = false
		}
		list = append(list, e)
	}
	return nil
}

// space skips white space.
func (p *extensionParser) space() { p.rest = strings.TrimLeft(p.rest, " \t") }

// next takes a character, after white space, if it is there.
func (p *extensionParser) next(c byte) bool {
	p.space()
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// token takes a token of RFC 9110.
func (p *extensionParser) token() string {
	p.space()
	n := 0
	for n < len(p.rest) && tokenByte(p.rest[n]) {
		n++
	}
	t := p.rest[:n]
	p.ok = p.ok && n > 0
	p.rest = p.rest[n:]
	return t
}

// value takes a token, or one in quotes: other strings in quotes are a mistake.
func (p *extensionParser) value() string {
	if !p.next('"') {
		return p.token()
	}
	v := p.token()
	p.ok = p.ok && strings.HasPrefix(p.rest, `"`)
	p.rest = strings.TrimPrefix(p.rest, `"`)
	return v
}

// tokenByte reports whether a byte may be in a token (RFC 9110, 5.6.2).
func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
