// Package series has the table in which the recorders that a server asks for values
// (metrics/prometheus) and those whose client does (metrics/otel) keep their time series:
// bounded, and without those whose owners have ended. It has what else these recorders share: the
// options, and one log line for each name.
//
//	live ──End──▶ ended ──swept, or gives way──▶ out
//	  ▲             │                             │
//	  └────use──────┴──────────use, with room─────┘
//
// A use of a live series costs one atomic load here.
package series
