package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
)

// journal remembers in a file which letters were played: one id a line. Ids are written
// right after the write of their events, so that a run that is killed in between plays the
// events of that write again, and no others.
type journal struct {
	file *os.File        // written at its end only
	ids  map[string]bool // all that are in the file
}

// openJournal reads the file at path, which is made if it is not there.
func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f, ids: map[string]bool{}}
	if err := j.load(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return j, nil
}

// load reads the ids, and cuts off a last line that is not whole.
func (j *journal) load() error {
	whole := int64(0)
	for r := bufio.NewReader(j.file); ; {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		whole += int64(len(line))
		j.ids[string(bytes.TrimSpace(line))] = true
	}
	if err := j.file.Truncate(whole); err != nil {
		return err
	}
	_, err := j.file.Seek(whole, io.SeekStart)
	return err
}

// add notes letters as played.
func (j *journal) add(items []item) error {
	var lines []byte
	for _, i := range items {
		j.ids[i.id] = true
		lines = append(append(lines, i.id...), '\n')
	}
	_, err := j.file.Write(lines)
	return err
}

// close makes the file durable.
func (j *journal) close() error {
	err := j.file.Sync()
	if closed := j.file.Close(); err == nil {
		err = closed
	}
	return err
}

// readJournal returns the ids of the file at path without changing it.
func readJournal(path string) (map[string]bool, error) {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	ids := map[string]bool{}
	for line := range bytes.Lines(data) {
		ids[string(bytes.TrimSpace(line))] = true
	}
	return ids, err
}
