package trace_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/trace"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
	sampled = "00-" + traceID + "-" + spanID + "-01"
)

// TestContextsThatAreRead: the cases that the recommendation names as valid.
func TestContextsThatAreRead(t *testing.T) {
	for text, want := range map[string]string{
		sampled:                                sampled,
		"00-" + traceID + "-" + spanID + "-00": "00-" + traceID + "-" + spanID + "-00",
		// Level 2 has a second flag. Bits that are not known are ignored and not handed on.
		"00-" + traceID + "-" + spanID + "-03": "00-" + traceID + "-" + spanID + "-03",
		"00-" + traceID + "-" + spanID + "-ff": "00-" + traceID + "-" + spanID + "-03",
		"00-" + traceID + "-" + spanID + "-08": "00-" + traceID + "-" + spanID + "-00",
		// A version to come may have more after a dash, and is handed on as version 00.
		"01-" + traceID + "-" + spanID + "-01":                        sampled,
		"cc-" + traceID + "-" + spanID + "-01":                        sampled,
		"cc-" + traceID + "-" + spanID + "-01-":                       sampled,
		"cc-" + traceID + "-" + spanID + "-01-what-the-future-brings": sampled,
	} {
		c, err := trace.Parse(text)
		fromBytes, bytesErr := trace.Parse([]byte(text))
		if err != nil || bytesErr != nil || c != fromBytes || c.String() != want || !c.IsValid() {
			t.Errorf("%s: %s %v, as bytes %s %v, want %s", text, c, err, fromBytes, bytesErr, want)
		}
		if c.IsSampled() != (want[54]&1 == 1) {
			t.Errorf("%s: sampled %v", text, c.IsSampled())
		}
	}
}

// TestContextsThatAreRefused: the cases that the recommendation and its conformance tests name
// as invalid.
func TestContextsThatAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                        "",
		"version ff":                     "ff-" + traceID + "-" + spanID + "-01",
		"version ff with more":           "ff-" + traceID + "-" + spanID + "-01-x",
		"version of other characters":    ".0-" + traceID + "-" + spanID + "-01",
		"version in capitals":            "CC-" + traceID + "-" + spanID + "-01",
		"version of one character":       "0-" + traceID + "-" + spanID + "-01",
		"version of three characters":    "000-" + traceID + "-" + spanID + "-01",
		"trace id of zeros":              "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01",
		"trace id of other characters":   "00-.af7651916cd43dd8448eb211c80319c-" + spanID + "-01",
		"trace id in capitals":           "00-" + strings.ToUpper(traceID) + "-" + spanID + "-01",
		"trace id too long":              "00-" + traceID + "0-" + spanID + "-01",
		"trace id too short":             "00-" + traceID[1:] + "-" + spanID + "-01",
		"span id of zeros":               "00-" + traceID + "-" + strings.Repeat("0", 16) + "-01",
		"span id of other characters":    "00-" + traceID + "-.7ad6b7169203331-01",
		"span id in capitals":            "00-" + traceID + "-" + strings.ToUpper(spanID) + "-01",
		"span id too long":               "00-" + traceID + "-" + spanID + "0-01",
		"span id too short":              "00-" + traceID + "-" + spanID[1:] + "-01",
		"flags of other characters":      "00-" + traceID + "-" + spanID + "-.0",
		"flags in capitals":              "00-" + traceID + "-" + spanID + "-0A",
		"flags too long":                 sampled + "1",
		"flags too short":                "00-" + traceID + "-" + spanID + "-1",
		"version 00 with more":           sampled + "-x",
		"version 00 with a dash":         sampled + "-",
		"a later version without a dash": "cc-" + traceID + "-" + spanID + "-01.x",
		"other separators":               strings.ReplaceAll(sampled, "-", "_"),
		"a space before":                 " " + sampled,
		"a space after":                  sampled + " ",
		"two of them":                    sampled + "," + sampled,
		"no flags":                       "00-" + traceID + "-" + spanID,
		"dashes":                         strings.Repeat("-", 55),
	} {
		if c, err := trace.Parse(text); !errors.Is(err, trace.ErrContext) || c != (trace.Context{}) {
			t.Errorf("%s: %v %v", name, c, err)
		}
	}
}

func TestContextWithoutNames(t *testing.T) {
	var c trace.Context
	if c.IsValid() || c.IsSampled() || c.String() != "" {
		t.Errorf("the zero context: valid %v, sampled %v, %q", c.IsValid(), c.IsSampled(), c)
	}
	c.Flags = trace.Sampled
	if c.IsSampled() {
		t.Error("a context without ids is sampled")
	}
}

// TestContextInJSON: an event with a context is a dead letter's payload and comes back.
func TestContextInJSON(t *testing.T) {
	type event struct {
		Trace trace.Context `json:"trace,omitzero"`
	}
	c, _ := trace.Parse(sampled)
	text, err := json.Marshal([]event{{c}, {}})
	if err != nil || string(text) != `[{"trace":"`+sampled+`"},{}]` {
		t.Fatalf("%s %v", text, err)
	}
	var back []event
	if err := json.Unmarshal(text, &back); err != nil || back[0].Trace != c || back[1].Trace.IsValid() {
		t.Errorf("%v %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"trace":"x"}`), &event{}); !errors.Is(err, trace.ErrContext) {
		t.Errorf("a trace that is none: %v", err)
	}
	var empty event
	empty.Trace = c
	if err := json.Unmarshal([]byte(`{"trace":""}`), &empty); err != nil || empty.Trace.IsValid() {
		t.Errorf("an empty text: %v %v", empty, err)
	}
}

func TestState(t *testing.T) {
	c, _ := trace.Parse(sampled)
	many := strings.TrimSuffix(entries(32), ",")
	for name, tc := range map[string]struct {
		values []string
		want   string
	}{
		"none":                  {nil, ""},
		"one":                   {[]string{"rojo=00f067aa0ba902b7"}, "rojo=00f067aa0ba902b7"},
		"two headers":           {[]string{"a=1", "b=2,c=3"}, "a=1,b=2,c=3"},
		"spaces":                {[]string{" a=1 , b=2\t"}, "a=1 , b=2"},
		"empty entries":         {[]string{"a=1,,b=2,"}, "a=1,,b=2,"},
		"tenant":                {[]string{"0t@sys=1"}, "0t@sys=1"},
		"all of a key":          {[]string{"a_-*/9=!~ x"}, "a_-*/9=!~ x"},
		"32 entries":            {[]string{many}, many},
		"33 entries":            {[]string{many + ",z=1"}, ""},
		"the same key":          {[]string{"a=1,a=2"}, ""},
		"no value":              {[]string{"a="}, ""},
		"no key":                {[]string{"=1"}, ""},
		"no sign":               {[]string{"a"}, ""},
		"capitals":              {[]string{"A=1"}, ""},
		"a digit first":         {[]string{"0a=1"}, ""},
		"a sign in the value":   {[]string{"a=1=2"}, ""},
		"a control character":   {[]string{"a=1\x00"}, ""},
		"a line break":          {[]string{"a=1\r\nb: c"}, ""},
		"a long system":         {[]string{"t@" + strings.Repeat("s", 15) + "=1"}, ""},
		"a tenant of no length": {[]string{"@s=1"}, ""},
		"a long key":            {[]string{strings.Repeat("k", 257) + "=1"}, ""},
		"a long value":          {[]string{"a=" + strings.Repeat("v", 257)}, ""},
		"a long state":          {[]string{"a=" + strings.Repeat("v", 255), "b=" + strings.Repeat("v", 255)}, ""},
	} {
		got := c.WithState(tc.values...)
		if got.State != tc.want || got.String() != sampled {
			t.Errorf("%s: state %q of %s, want %q", name, got.State, got, tc.want)
		}
		if again := got.WithState("Bad=1"); again.State != "" {
			t.Errorf("%s: a bad state leaves %q", name, again.State)
		}
	}
}

// entries returns n entries of a tracestate with a comma after each.
func entries(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("k" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "=v,")
	}
	return b.String()
}

func TestParseDoesNotAllocate(t *testing.T) {
	text, b := []byte(sampled), make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		c, err := trace.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		b = c.WithState("a=1,b=2").Append(b[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParse: what is read is handed on as a text that is read as the same.
func FuzzParse(f *testing.F) {
	f.Add(sampled, "a=1")
	f.Add("cc-"+traceID+"-"+spanID+"-01-more", "a=1,b@c=2")
	f.Add("ff-"+traceID+"-"+spanID+"-01", "")
	f.Add(strings.ToUpper(sampled), "A=1")
	f.Fuzz(func(t *testing.T, text, state string) {
		c, err := trace.Parse(text)
		fromBytes, bytesErr := trace.Parse([]byte(text))
		if err != bytesErr || c != fromBytes {
			t.Fatalf("%v %v, as bytes %v %v", c, err, fromBytes, bytesErr)
		}
		c = c.WithState(state)
		if len(c.State) > 512 || strings.ContainsAny(c.State, "\r\n\x00") {
			t.Fatalf("state %q", c.State)
		}
		if again := c.WithState(c.State); again != c {
			t.Fatalf("state %q is %q after it was checked again", c.State, again.State)
		}
		if err != nil {
			if c.IsValid() || c.String() != "" {
				t.Fatalf("%v with %v", c, err)
			}
			return
		}
		again, err := trace.Parse(c.String())
		if again = again.WithState(c.State); err != nil || again != c {
			t.Fatalf("%q is %v %v, was %v", text, again, err, c)
		}
		if text[:2] == "00" && text[:53] != c.String()[:53] {
			t.Fatalf("%q is handed on as %q", text, c)
		}
	})
}
