package complain

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneLineASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		logger := slog.New(slog.NewTextHandler(&text, nil))
		var l Limit
		for range 100 {
			l.Log(logger, slog.LevelWarn, "no")
			time.Sleep(250 * time.Millisecond)
		}
		if n := strings.Count(text.String(), "\n"); n != 25 || strings.Count(text.String(), "left_out=3") != 24 {
			t.Errorf("%d lines in 25 s:\n%s", n, text.String())
		}
	})
}
