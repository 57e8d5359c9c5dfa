package websocket

import (
	"compress/flate"
	"runtime"

	"github.com/penstock-go/penstock/internal/option"
)

// CompressionConfig configures permessage-deflate (RFC 7692). The zero value is
// useful. Contexts are not taken over, in either direction, so that a connection
// holds no memory for it and a broadcast is compressed once for all. On resumable
// topics, whose frames carry the join ref, each client's frame is compressed alone.
//
// The size of a compressed message shows whether parts of it are equal. Do not use
// compression where one message holds both a secret and text that an attacker can
// choose: see CRIME and BREACH.
type CompressionConfig struct {
	// MinBytes is the size from which messages to clients are compressed. A message
	// that would not become shorter is sent as it is. Default: 512.
	MinBytes int
	// Level is that of compress/flate, 1 (fastest) to 9 (best). Default: 1.
	Level int
	// MaxRatio bounds how many times a message from a client may grow, beyond its
	// first 4 KiB; a larger one closes the connection with 1009, as one does that
	// exceeds Limits.MessageBytes. Default: 25.
	MaxRatio int
	// Compressors bounds the messages that are compressed at a time for the mount. A
	// compressor holds about 1.2 MB and is kept. While all are in use messages are sent
	// as they are. At most 1,024. Default: the number of processors that Go uses.
	Compressors int
}

// maxCompressors bounds CompressionConfig.Compressors, for which room is made at once.
const maxCompressors = 1024

// withDefaults returns cfg with the defaults of unset fields.
func (cfg CompressionConfig) withDefaults() CompressionConfig {
	option.Default(&cfg.MinBytes, 512)
	option.Default(&cfg.Level, flate.BestSpeed)
	option.Default(&cfg.MaxRatio, 25)
	option.Default(&cfg.Compressors, min(runtime.GOMAXPROCS(0), maxCompressors))
	return cfg
}

// validate returns an error for a field that is refused. A nil configuration, which
// turns compression off, is allowed.
func (cfg *CompressionConfig) validate() error {
	if cfg == nil {
		return nil
	}
	return option.First(
		option.AtLeast(mountOwner, "Compression.MinBytes", cfg.MinBytes, 0),
		option.Within(mountOwner, "Compression.Level", cfg.Level, 0, flate.BestCompression),
		option.AtLeast(mountOwner, "Compression.MaxRatio", cfg.MaxRatio, 0),
		option.Within(mountOwner, "Compression.Compressors", cfg.Compressors, 0, maxCompressors),
	)
}
