package deadletter

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"
)

// ErrCutOff is the error of a last line that is not whole: the write of its letter was cut
// off, or is under way. The letter was not acknowledged.
var ErrCutOff = errors.New("the last line is cut off")

// LineError is the error of a line that holds no letter.
type LineError struct {
	// Line counts from 1.
	Line int
	// Err is why, ErrCutOff for what a crash has left.
	Err error
}

// Error implements error.
func (e *LineError) Error() string { return fmt.Sprintf("dead letters, line %d: %v", e.Line, e.Err) }

// Unwrap returns Err.
func (e *LineError) Unwrap() error { return e.Err }

// Read returns the letters of r, one a line, in order. A line without a letter is
// returned as a [*LineError], and the next ones follow. Any other error is one of r, and
// the last. Empty lines do not count.
func Read(r io.Reader) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		lines := bufio.NewReaderSize(r, 64<<10)
		for n := 1; ; n++ {
			line, err := lines.ReadBytes('\n')
			if err != nil && err != io.EOF {
				yield(Letter{}, err)
				return
			}
			if line = bytes.TrimSpace(line); len(line) > 0 {
				l, bad := parse(line)
				if bad != nil {
					if err == io.EOF {
						bad = ErrCutOff
					}
					l, bad = Letter{}, &LineError{n, bad}
				}
				if !yield(l, bad) {
					return
				}
			}
			if err == io.EOF {
				return
			}
		}
	}
}

// ReadFile is [Read] of one file, which may be being written. See [Files].
func ReadFile(path string) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(Letter{}, err)
			return
		}
		defer f.Close()
		Read(f)(yield)
	}
}

// errNoLetter is the error of JSON that is no letter.
var errNoLetter = errors.New("no event")

// parse returns the letter of a line.
func parse(line []byte) (l Letter, err error) {
	if err := json.Unmarshal(line, &l); err != nil {
		return l, err
	}
	if l.Event == nil {
		return l, errNoLetter
	}
	return l, nil
}

// appendLine appends a letter's line. No letter may stop those behind it: what has no JSON
// form is kept in another way, and EncodeError says why.
func appendLine(buf []byte, l Letter) []byte {
	b := bytes.NewBuffer(buf)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false) // the event's bytes are kept as they are
	if l.Event == nil {
		l.Event = json.RawMessage("null")
	}
	err := e.Encode(&l)
	if err == nil {
		return b.Bytes()
	}
	l.EncodeError = err.Error()
	if !json.Valid(l.Event) {
		l.SetBytes(l.Event)
	}
	for _, at := range []*time.Time{&l.First, &l.Last} {
		if _, err := at.MarshalJSON(); err != nil {
			*at = time.Time{}
		}
	}
	b = bytes.NewBuffer(buf)
	e = json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(&l) // nothing is left that could fail
	return b.Bytes()
}
