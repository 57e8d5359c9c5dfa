package producer

import "github.com/penstock-go/penstock/internal/feed"

// HandleInspect implements stage.InspectHandler: it returns the counts of Snapshot.
func (q *Queue[T]) HandleInspect() any { return q.Snapshot() }

// SourceSnapshot is the state of a [Seq] or [Chan] at one moment: the Demand that
// has not been emitted, the events of it that are Ready, whether its goroutine is
// Reading, and whether it has Ended.
type SourceSnapshot = feed.Snapshot
