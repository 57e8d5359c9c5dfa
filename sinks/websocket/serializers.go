package websocket

import (
	"fmt"
	"maps"
	"slices"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// Serializer is a wire format of messages: see [codec.Serializer].
type Serializer = codec.Serializer

// SerializerConfig offers a wire format beside those of Phoenix.
type SerializerConfig struct {
	// Version selects the format by the client's parameter vsn, which must be equal.
	// It comes before the versions of Phoenix. Default: not selected by vsn.
	Version string
	// Subprotocol selects the format by the WebSocket subprotocol, which is offered
	// before MountConfig.Subprotocols and decides before vsn. Default: not selected by
	// a subprotocol. One of the two is required.
	Subprotocol string
	// Serializer is the format. A panic of its own is an error of the message. Over
	// long polling it can send texts only. Required.
	Serializer Serializer
}

// serializersAllowed refuses serializers that cannot be selected, and two that are
// selected by the same: a client would get the last one in silence.
func serializersAllowed(list []SerializerConfig) error {
	seen := make(map[[2]string]bool)
	for i, cfg := range list {
		if err := cfg.validate(i); err != nil {
			return err
		}
		for _, by := range [][2]string{{"Version", cfg.Version}, {"Subprotocol", cfg.Subprotocol}} {
			if by[1] != "" && seen[by] {
				return mountOwner.Refuse(fmt.Sprintf("Serializers[%d].%s", i, by[0]), by[1], "one that no serializer before has")
			}
			seen[by] = true
		}
	}
	return nil
}

// validate returns an error for what is missing.
func (cfg SerializerConfig) validate(i int) error {
	name := fmt.Sprintf("Serializers[%d]", i)
	return option.First(
		mountOwner.Check(cfg.Version != "" || cfg.Subprotocol != "", name, cfg.Version, "a Version or a Subprotocol"),
		mountOwner.Check(cfg.Subprotocol == "" || !notToken(cfg.Subprotocol), name+".Subprotocol", cfg.Subprotocol, "a token of RFC 9110"),
		mountOwner.Needs(name+".Serializer", cfg.Serializer, "a serializer"),
	)
}

// choices are the formats that a mount offers beside those of Phoenix, by what
// selects them.
type choices struct {
	byVersion, bySubprotocol map[string]*format
}

// offer makes the formats of a mount.
func (m *mount) offer() {
	m.choices = choices{map[string]*format{}, map[string]*format{}}
	for _, cfg := range m.cfg.Serializers {
		f := m.endpoint.formats.of(cfg.Serializer)
		if cfg.Version != "" {
			m.choices.byVersion[cfg.Version] = f
		}
		if cfg.Subprotocol != "" {
			m.choices.bySubprotocol[cfg.Subprotocol] = f
		}
	}
	m.offered = slices.Sorted(maps.Keys(m.choices.bySubprotocol))
	if m.cfg.AuthToken {
		m.offered = append(m.offered, "phoenix")
	}
	m.offered = append(m.offered, m.cfg.Subprotocols...)
}

// choose returns the format for a client.
func (m *mount) choose(subprotocol, vsn string) (*format, error) {
	if f := m.choices.bySubprotocol[subprotocol]; f != nil {
		return f, nil
	}
	if f := m.choices.byVersion[vsn]; f != nil {
		return f, nil
	}
	v, err := codec.ParseVersion(vsn)
	if err != nil {
		return nil, err
	}
	return m.endpoint.formats.of(v), nil
}
