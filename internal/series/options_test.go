package series

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/internal/option"
)

func TestOptions(t *testing.T) {
	o := Options{}.WithDefaults()
	if err := o.Check("test"); err != nil || o.MaxSeries != 4096 || o.Linger != time.Minute || len(o.Buckets) != 18 {
		t.Errorf("%+v, %v", o, err)
	}
	if s := o.Seconds(); len(s) != 18 || s[0] != 0.0001 || s[17] != 60 {
		t.Error(s)
	}
	for want, change := range map[string]func(*Options){
		"MaxSeries": func(o *Options) { o.MaxSeries = -1 },
		"Linger":    func(o *Options) { o.Linger = 2 * time.Hour },
		"Buckets":   func(o *Options) { o.Buckets = []time.Duration{2, 1} },
	} {
		bad := o
		change(&bad)
		var refused *option.Error
		if err := bad.Check("test"); !errors.As(err, &refused) || refused.Option != want {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestOneLineForEachName(t *testing.T) {
	var out bytes.Buffer
	var names Names
	logger := slog.New(slog.NewTextHandler(&out, nil))
	for i := range 2 * maxLogged {
		for range 2 {
			names.Log(logger, "counter", fmt.Sprint("a", i), "refused", "n", 1)
		}
	}
	names.Log(logger, "gauge", "a1", "refused")
	if n := strings.Count(out.String(), "\n"); n != maxLogged {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(out.String(), `msg=refused kind=counter name="\"a1\"" n=1`) {
		t.Error(out.String())
	}
}
