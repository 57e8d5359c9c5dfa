package stage

import (
	"log/slog"

	"github.com/penstock-go/penstock/dispatcher"
)

// drops names the policies of the outlet that discard events to make room, "" for none.
func (o *outlet[T]) drops() string {
	policies := ""
	if d, ok := o.disp.(dispatcher.Dropper); ok {
		policies = d.Drops()
	}
	switch {
	case o.buf.keep == KeepAll:
		return policies
	case policies != "":
		policies += ", "
	}
	if o.buf.keep == KeepFirst {
		return policies + "Keep: KeepFirst"
	}
	return policies + "Keep: KeepLast"
}

// sayDrops logs, at the start of a stage whose events have receipts to give, that it may
// discard some: for its source these are finished.
func (o *outlet[T]) sayDrops(log *slog.Logger) {
	if !o.sourced && o.lineage == nil {
		return
	}
	if policies := o.drops(); policies != "" {
		log.Warn("events may be discarded to make room, and count as finished for their source", "stage", o.stage, "policy", policies)
	}
}
