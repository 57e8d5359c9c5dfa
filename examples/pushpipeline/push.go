package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
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
	// At is when the push was enqueued, in the caller.
	At time.Time
	// Origin names the process that took the push in, and Seq numbers the
	// pushes of a user at that process from 1, so that a client can detect a
	// gap, a repetition or a wrong order.
	Origin string
	Seq    uint64
}

// wirePush is a push as it is posted. A nil UserID is a missing one.
type wirePush struct {
	UserID *string         `json:"user_id"`
	Data   json.RawMessage `json:"data"`
}

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

// parsePushes reads a push, or an array of them. It returns pushes only if all of
// them are valid. The error is an *inputError.
func parsePushes(body []byte) ([]push, error) {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 {
		return nil, &inputError{Index: -1, Fault: "the body is empty: want an object with user_id and data, or an array of them"}
	}
	// A single push, whatever it begins with: parsePush reports what is wrong.
	if trimmed[0] != '[' {
		p, err := parsePush(body, -1)
		if err != nil {
			return nil, err
		}
		return []push{p}, nil
	}
	// In two steps, so that an error names the place in the array.
	var items []json.RawMessage
	if err := unmarshal(body, &items); err != nil {
		return nil, &inputError{Index: -1, Fault: "not JSON: " + err.Error()}
	}
	if len(items) == 0 {
		return nil, &inputError{Index: -1, Fault: "the array is empty"}
	}
	pushes := make([]push, 0, len(items))
	for i, item := range items {
		p, err := parsePush(item, i)
		if err != nil {
			return nil, err
		}
		pushes = append(pushes, p)
	}
	return pushes, nil
}

// parsePush reads one push. index is its place in an array, for the error; -1
// outside of one.
func parsePush(body []byte, index int) (push, error) {
	refuse := func(format string, args ...any) (push, error) {
		return push{}, &inputError{Index: index, Fault: fmt.Sprintf(format, args...)}
	}
	var w wirePush
	if err := unmarshal(body, &w); err != nil {
		var wrong *json.UnmarshalTypeError
		switch {
		case errors.As(err, &wrong) && wrong.Field == "user_id":
			return refuse("user_id must be a string")
		case errors.As(err, &wrong):
			return refuse("want an object with user_id and data")
		}
		return refuse("not JSON: %v", err)
	}
	if w.UserID == nil {
		return refuse("user_id is missing")
	}
	if err := checkUserID(*w.UserID); err != nil {
		return refuse("user_id %v", err)
	}
	// It is valid JSON already; only its first byte tells an object from the rest.
	data := bytes.TrimSpace(w.Data)
	if len(data) == 0 {
		return refuse("data is missing")
	}
	if data[0] != '{' {
		return refuse("data must be an object")
	}
	if len(data) > maxData {
		return push{}, &inputError{Index: index, Large: true, Fault: fmt.Sprintf("data has %d bytes: at most %d are allowed", len(data), maxData)}
	}
	// A copy: the body of the request must not live as long as the push.
	return push{User: *w.UserID, Data: bytes.Clone(data)}, nil
}

// unmarshal is json.Unmarshal, but nothing may follow the value.
func unmarshal(body []byte, v any) error {
	// A decoder reports a body that is cut off by an error of its own.
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("it ends too early")
		}
		return err
	}
	// Only white space may follow.
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
