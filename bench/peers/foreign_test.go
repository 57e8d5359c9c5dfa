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
			rows, end, err := prepare([]*foreign{f}, new(bytes.Buffer))
			if err != nil {
				t.Fatal(err)
			}
			defer end()
			for _, w := range handoverWorks {
				if _, err := run(w, rows[0], step); (err == nil) != right {
					t.Errorf("%s: %v", w.name, err)
				}
			}
		})
	}
}

func TestALanguageThatIsNotThereIsLeftOut(t *testing.T) {
	var progress bytes.Buffer
	rows, end, err := prepare([]*foreign{{language: "None", tool: "penstock-no-such-tool"}}, &progress)
	if err != nil || len(rows) != 0 {
		t.Fatalf("%v, %v", rows, err)
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
