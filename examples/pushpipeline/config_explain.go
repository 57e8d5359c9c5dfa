package main

import (
	"errors"
	"flag"
	"time"
)

// explained is the value of a flag whose errors say what the flag accepts.
type explained struct {
	flag.Value
	usage string
}

// Set implements flag.Value.
func (e explained) Set(text string) error {
	if e.Value.Set(text) == nil {
		return nil
	}
	want := ""
	// The error of package flag is "parse error", whatever is wrong.
	switch e.Value.(flag.Getter).Get().(type) {
	case bool:
		want = "true or false"
	case int:
		want = "a whole number"
	case float64:
		want = "a number"
	case time.Duration:
		want = "a duration with its unit, such as 1500ms, 10s or 2m"
	}
	return errors.New(want + " is required (" + e.usage + ")")
}

// IsBoolFlag reports whether the flag may be given without a value.
func (e explained) IsBoolFlag() bool {
	b, ok := e.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// explain makes all flags say in their errors what they accept.
func explain(fs *flag.FlagSet) {
	fs.VisitAll(func(f *flag.Flag) {
		_, usage := flag.UnquoteUsage(f)
		f.Value = explained{f.Value, usage}
	})
}

// unexplained returns a flag as it was before explain, as package flag describes it.
func unexplained(f *flag.Flag) *flag.Flag {
	if e, ok := f.Value.(explained); ok {
		bare := *f
		bare.Value = e.Value
		return &bare
	}
	return f
}
