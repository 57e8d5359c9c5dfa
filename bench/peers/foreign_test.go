package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// fakeVariable makes the test a program in another language: "right" adds up, all others
// are what it says instead.
const fakeVariable = "PENSTOCK_PEERS_FAKE"

func TestMain(m *testing.M) {
	says := os.Getenv(fakeVariable)
	if says == "" {
		os.Exit(m.Run())
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var name, work string
		var most, batch, n int
		_, _ = fmt.Sscan(lines.Text(), &name, &work, &most, &batch, &n) // zeros are a wrong result
		if says == "right" {
			fmt.Println(1000, n, n*(n-1)/2)
		} else {
			fmt.Println(says)
		}
	}
}

func TestAProgramInAnotherLanguage(t *testing.T) {
	for says, right := range map[string]bool{"right": true, "1000 1 1": false, "cannot": false} {
		t.Run(says, func(t *testing.T) {
			t.Setenv(fakeVariable, says)
			f := &foreign{language: "Fake", tool: "go", folder: ".", start: []string{self(t)}, rows: []foreignRow{{name: "fake", argument: "fake"}}}
			rows, end := prepare([]*foreign{f}, new(bytes.Buffer))
			defer end()
			if len(rows) != 1 {
				t.Fatal(rows)
			}
			for _, w := range handoverWorks {
				if _, err := run(w, rows[0], step); (err == nil) != right {
					t.Errorf("%s: %v", w.name, err)
				}
			}
		})
	}
}

// Such as Maven without a compiler, or cargo without a network.
func TestALanguageThatCannotBeBuiltIsLeftOut(t *testing.T) {
	right := &foreign{language: "Right", tool: "go", folder: ".", start: []string{self(t)}, rows: []foreignRow{{name: "fake", argument: "fake"}}}
	t.Setenv(fakeVariable, "right")
	for _, f := range []*foreign{
		{language: "Broken", tool: "go", folder: ".", build: []string{"go", "penstock-no-such-command"}, start: []string{self(t)}, rows: right.rows},
		{language: "Broken", tool: "go", folder: ".", start: []string{"./penstock-no-such-program"}, rows: right.rows},
	} {
		var progress bytes.Buffer
		rows, end := prepare([]*foreign{f, right}, &progress)
		end()
		if len(rows) != 1 {
			t.Errorf("%d rows, want those of the other language", len(rows))
		}
		lines := strings.Split(strings.TrimSpace(progress.String()), "\n")
		if len(lines) != 3 || !strings.HasPrefix(lines[1], "the rows of Broken are left out: ") || !strings.Contains(lines[1], "penstock-no-such") {
			t.Errorf("printed %q", lines)
		}
	}
}

func TestALanguageThatIsNotThereIsLeftOut(t *testing.T) {
	var progress bytes.Buffer
	rows, end := prepare([]*foreign{{language: "None", tool: "penstock-no-such-tool"}}, &progress)
	if len(rows) != 0 {
		t.Fatal(rows)
	}
	end()
	if got := progress.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "the rows of None are left out") {
		t.Errorf("printed %q", got)
	}
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
