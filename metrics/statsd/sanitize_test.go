package statsd

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCleanPart(t *testing.T) {
	for in, want := range map[string]string{
		"pipeline.push-delivered_x/y":  "pipeline.push-delivered_x/y",
		"":                             "none",
		"a:1|c\nb":                     "a_1_c_b",
		"|#tag":                        "__tag",
		"a@b,c;d=e~f g\th\r":           "a_b_c_d_e_f_g_h_",
		"naïve":                        "naïve",
		"bad\xffbyte":                  "bad_byte",
		"esc\x1b[31m\u202e":            "esc_[31m_",
		strings.Repeat("x", 300):       strings.Repeat("x", 200),
		strings.Repeat("é", 150):       strings.Repeat("é", 100),
		"x" + strings.Repeat("é", 150): "x" + strings.Repeat("é", 99),
	} {
		if got := cleanPart(in, "none"); got != want {
			t.Errorf("cleanPart(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzCleanPart(f *testing.F) {
	f.Add("a:1|c\nb")
	f.Add("\xff\xfe")
	f.Add(strings.Repeat("\u00e9", 200))
	f.Add("0" + strings.Repeat("\xbb", 300))
	f.Fuzz(func(t *testing.T, in string) {
		got := cleanPart(in, "none")
		if got == "" || len(got) > maxPart || !utf8.ValidString(got) || strings.ContainsAny(got, ":|@#,;=\n\r \x00") {
			t.Fatalf("cleanPart(%q) = %q", in, got)
		}
	})
}
