package stage_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// TestAStopThatWaitsIsLogged: the log names the stage whose handler does not return long
// before Run gives up on it, and no stage that has stopped.
func TestAStopThatWaitsIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &source{}, newSink()
		release := make(chan struct{})
		dst.onEvents = func(context.Context, []int) error { <-release; return nil }
		p, c := producer(src, stage.ProducerConfig[int]{Name: "P"}), consumer(dst, "C")
		subscribe(t, c, p, four)
		var log strings.Builder
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{
			StopTimeout: 25 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		}, p, c))
		done := run(t.Context(), line)
		push(t, p, src, 1)
		line.Stop(nil)
		<-done
		text := log.String()
		if n := strings.Count(text, `level=WARN msg="a stop waits for a handler that has not returned" stage=C`); n != 3 { // after 1, 11 and 21 s
			t.Errorf("%d lines:\n%s", n, text)
		}
		if strings.Count(text, `level=ERROR msg="a handler has not returned in time and is left behind" stage=C`) != 1 || strings.Contains(text, "stage=P") {
			t.Errorf("got:\n%s", text)
		}
		close(release)
		<-c.Stopped()
	})
}
