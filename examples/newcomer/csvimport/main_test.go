package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-go/penstock/deadletter"
)

// kit runs the program in a directory of its own.
type kit struct {
	t        *testing.T
	dir, bin string
}

// run runs the program with lines as its standard input, and calls during meanwhile.
func (k kit) run(lines []string, during func(p *os.Process)) (records int) {
	k.t.Helper()
	input := filepath.Join(k.dir, "input.csv")
	if err := os.WriteFile(input, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		k.t.Fatal(err)
	}
	stdin, err := os.Open(input)
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	defer cancel()
	var out, log bytes.Buffer
	cmd := exec.CommandContext(ctx, k.bin)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = k.dir, stdin, &out, &log
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	if during != nil {
		during(cmd.Process)
	}
	if err := cmd.Wait(); err != nil {
		k.t.Fatalf("%v\n%s", err, &log)
	}
	if _, err := fmt.Sscanf(out.String(), "%d records\n", &records); err != nil {
		k.t.Fatalf("printed %q", &out)
	}
	return records
}

// stored returns the ids in the table, which has each of them once, and the letters'.
func (k kit) stored() (rows, letters map[string]bool) {
	k.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(k.dir, "rows.db"))
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	found, err := db.Query("SELECT id, price FROM rows")
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	rows, letters = make(map[string]bool), make(map[string]bool)
	for found.Next() {
		var id, price int
		if err := found.Scan(&id, &price); err != nil || price != 2*id {
			k.t.Fatal(id, price, err)
		}
		rows[fmt.Sprint(id)] = true
	}
	for l, err := range deadletter.ReadFile(filepath.Join(k.dir, "letters.ndjson")) {
		if err != nil {
			k.t.Fatal(err)
		}
		if letters[string(l.Event)] {
			k.t.Errorf("two letters of %s", l.Event)
		}
		letters[string(l.Event)] = true
	}
	return rows, letters
}

// An interrupt in the middle ends the program in good order: of the records that it says
// it has read each is stored once, as a row or as a letter, and no other is. A second run
// over the rest completes the table.
func TestInterruptLosesAndRepeatsNothing(t *testing.T) {
	k := kit{t, t.TempDir(), filepath.Join(t.TempDir(), "csvimport")}
	if out, err := exec.Command("go", "build", "-o", k.bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const all = 20_000
	var lines []string
	want, wantLetters := make([]string, all), make([]string, all)
	for i := range all {
		id := fmt.Sprint(i + 1)
		switch {
		case i%2_000 == 1_000: // does not parse
			lines = append(lines, id+",much")
			wantLetters[i] = `["` + id + `","much"]`
		case i == 12_000: // SQLite refuses it: the id is there
			lines = append(lines, "1,2")
			wantLetters[i] = `{"ID":1,"Price":2}`
		default:
			lines = append(lines, fmt.Sprintf("%s,%d", id, 2*(i+1)))
			want[i] = id
		}
	}
	check := func(n int) {
		t.Helper()
		rows, letters := k.stored()
		wanted := make(map[string]bool)
		for i := range n {
			if id := want[i]; id != "" && !rows[id] {
				t.Fatalf("row %s of %d records is lost", id, n)
			}
			if l := wantLetters[i]; l != "" && !letters[l] {
				t.Fatalf("letter %s of %d records is lost", l, n)
			}
			wanted[want[i]], wanted[wantLetters[i]] = true, true
		}
		delete(wanted, "")
		if len(rows)+len(letters) != len(wanted) {
			t.Errorf("%d rows and %d letters of %d records", len(rows), len(letters), n)
		}
	}
	n := k.run(lines, func(p *os.Process) {
		for { // until the first letters are there
			if info, err := os.Stat(filepath.Join(k.dir, "letters.ndjson")); err == nil && info.Size() > 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err := p.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	})
	if n == 0 || n >= all {
		t.Fatalf("%d of %d records: the interrupt did not come in the middle", n, all)
	}
	check(n)
	t.Logf("interrupted after %d of %d records", n, all)
	if rest := k.run(lines[n:], nil); rest != all-n {
		t.Errorf("%d records in the second run, not %d", rest, all-n)
	}
	check(all)
}
