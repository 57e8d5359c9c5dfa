package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/penstock-go/penstock/trace"
)

// The bounds of what is taken in.
const (
	maxBody   = 1 << 20  // bytes of one request
	maxData   = 32 << 10 // bytes of one push's data
	maxUserID = 64       // bytes
)

// push is what travels through the pipeline: data for one user.
type push struct {
	// Never empty, and checked by checkUserID.
	User string
	Data json.RawMessage // a JSON object
	// topic is that of User, "" if it has not been made; see topicOf.
	topic string
	// At is when the push was enqueued, in the caller.
	At time.Time
	// By is the producer that has posted the push: "" for the load generator, and where
	// no credentials are required. It is not delivered.
	By string
	// Origin names the process that took the push in, and Seq numbers the
	// pushes of a user at that process from 1, so that a client can detect a
	// gap, a repetition or a wrong order.
	Origin string
	Seq    uint64
	// Where it was read in Kafka; zero from memory.
	place place
	// Its trace; zero if it has none.
	trace trace.Context
}

// topicOf returns the topic of the push.
func (p push) topicOf() string {
	if p.topic == "" {
		return topicOf(p.User)
	}
	return p.topic
}

// size is what a push counts for wherever bytes are bounded: what belongs to it
// alone, its data above all.
func (p push) size() int { return len(p.Data) + len(p.User) + pushOverhead }

// pushOverhead is about what a push takes in memory besides its data, in bytes.
const pushOverhead = 192

// inputError is what is wrong with what was posted. Its message is for the caller.
type inputError struct {
	Index int // in an array; -1 outside of one
	Fault string
	Large bool // too large rather than malformed
}

// Error implements error.
func (e *inputError) Error() string {
	if e.Index >= 0 {
		return fmt.Sprintf("push %d: %s", e.Index, e.Fault)
	}
	return e.Fault
}

// parsePushes reads a push, or an array of them, and returns pushes only if all are
// valid and there are at most limit. It reads one element at a time and stops at the
// first that is wrong, so that what follows costs nothing. The error is an
// *inputError, or that of reading from r.
func parsePushes(r io.Reader, limit int) ([]push, error) {
	source := &failing{r: r}
	pushes, err := parseBody(bufio.NewReader(source), limit)
	switch {
	case source.err != nil:
		return nil, source.err // the syntax is not what is wrong
	case err != nil:
		return nil, err
	}
	return pushes, nil
}

// failing notes why reading failed, which a decoder would report as wrong syntax.
type failing struct {
	r   io.Reader
	err error // never io.EOF
}

// Read implements io.Reader.
func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// parseBody reads all of r. The error is an *inputError.
func parseBody(r *bufio.Reader, limit int) ([]push, error) {
	refuse := func(format string, args ...any) ([]push, error) {
		return nil, &inputError{Index: -1, Fault: fmt.Sprintf(format, args...)}
	}
	first, err := peekValue(r)
	if err != nil {
		return refuse("the body is empty: want an object with user_id and data, or an array of them")
	}
	d := json.NewDecoder(r)
	var raw json.RawMessage // its memory is used for one push after the other
	// A single push, whatever it begins with: parsePush reports what is wrong.
	if first != '[' {
		if err := d.Decode(&raw); err != nil {
			return refuse("not JSON: %v", plain(err))
		}
		if err := onlySpace(d); err != nil {
			return refuse("not JSON: %v", err)
		}
		p, err := parsePush(raw, -1)
		if err != nil {
			return nil, err
		}
		return []push{p}, nil
	}
	_, _ = d.Token() // the bracket
	var pushes []push
	for d.More() {
		if len(pushes) == limit {
			return nil, &inputError{Index: -1, Large: true, Fault: fmt.Sprintf("the array has more than %d pushes, which is more than can ever be taken in at once", limit)}
		}
		if err := d.Decode(&raw); err != nil {
			return nil, &inputError{Index: len(pushes), Fault: fmt.Sprintf("not JSON: %v", plain(err))}
		}
		p, err := parsePush(raw, len(pushes))
		if err != nil {
			return nil, err
		}
		pushes = append(pushes, p)
	}
	if _, err := d.Token(); err != nil {
		return refuse("not JSON: %v", plain(err))
	}
	if err := onlySpace(d); err != nil {
		return refuse("not JSON: %v", err)
	}
	if len(pushes) == 0 {
		return refuse("the array is empty")
	}
	return pushes, nil
}

// peekValue skips white space and returns the first byte after it, which stays
// unread.
func peekValue(r *bufio.Reader) (byte, error) {
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil:
			return 0, err
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			return c, r.UnreadByte()
		}
	}
}

// parsePush reads one push, of which it keeps copies only. index is its place in an array, for the error; -1
// outside of one.
func parsePush(body []byte, index int) (push, error) {
	refuse := func(format string, args ...any) (push, error) {
		return push{}, &inputError{Index: index, Fault: fmt.Sprintf(format, args...)}
	}
	// What is taken in unchanged must be what every client can read: a browser fails
	// the whole connection for one byte that is not UTF-8.
	if !utf8.Valid(body) {
		return refuse("not UTF-8")
	}
	w, err := readFields(body)
	if err != nil {
		return refuse("%v", err)
	}
	// Both are valid JSON, whose first byte tells one kind from the others.
	switch {
	case w.user == nil || w.user[0] == 'n':
		return refuse("user_id is missing")
	case w.user[0] != '"':
		return refuse("user_id must be a string")
	}
	// The id is the end of the topic, so that both are one allocation.
	topic := unquoteAfter(topicPrefix, w.user)
	id := topic[len(topicPrefix):]
	if err := checkUserID(id); err != nil {
		return refuse("user_id %v", err)
	}
	switch {
	case w.data == nil:
		return refuse("data is missing")
	case w.data[0] != '{':
		return refuse("data must be an object")
	case len(w.data) > maxData:
		return push{}, &inputError{Index: index, Large: true, Fault: fmt.Sprintf("data has %d bytes: at most %d are allowed", len(w.data), maxData)}
	}
	// A copy: neither the body of the request nor raw must live as long as the push.
	return push{User: id, topic: topic, Data: bytes.Clone(w.data)}, nil
}

// plain replaces a decoder's error for a value that is cut off by one that says so.
func plain(err error) error {
	var syntax *json.SyntaxError
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.As(err, &syntax) && syntax.Error() == "unexpected end of JSON input" {
		return errors.New("it ends too early")
	}
	return err
}

// onlySpace returns an error unless white space is all that follows.
func onlySpace(d *json.Decoder) error {
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}

// checkUserID returns what is wrong with the id of a user, which becomes part of a
// topic: without ':' and '*', so that no id can name another topic or a pattern.
func checkUserID(id string) error {
	if id == "" {
		return errors.New("is empty")
	}
	if len(id) > maxUserID {
		return fmt.Errorf("has %d bytes: at most %d are allowed", len(id), maxUserID)
	}
	for _, r := range id {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-', r == '.':
		default:
			return fmt.Errorf("%.80q has a character other than letters, digits, '_', '-' and '.'", id)
		}
	}
	return nil
}
