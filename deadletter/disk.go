package deadletter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// handle is an open file.
type handle interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
	Stat() (fs.FileInfo, error)
}

// disk is what a File needs of the operating system. Tests have one that fails.
type disk interface {
	open(path string) (handle, error)
	// same reports whether path still names h, of that size; more is allowed if loose is
	// set.
	same(h handle, path string, size int64, loose bool) bool
	rename(from, to string) error
	// next returns the name that the file at path is to have when it is full.
	next(path string) (string, error)
	// syncDir makes the names in the directory of path durable.
	syncDir(path string) error
}

// osDisk is the operating system's.
type osDisk struct{}

func (osDisk) open(path string) (handle, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s is being written by another sink: %w", path, err)
	}
	return f, nil
}

func (osDisk) same(h handle, path string, size int64, loose bool) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	mine, err := h.Stat()
	return err == nil && os.SameFile(there, mine) && (mine.Size() == size || loose)
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) next(path string) (string, error) {
	full, err := rotated(path)
	if err != nil {
		return "", err
	}
	last := 0
	if len(full) > 0 {
		last = full[len(full)-1].number
	}
	return fmt.Sprintf("%s.%06d", path, last+1), nil
}

func (osDisk) syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// full is a file that was renamed when it was full.
type full struct {
	path   string
	number int
}

// rotated returns the full files of path in the order in which they were written.
func rotated(path string) (all []full, err error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		if n, err := strconv.Atoi(digits); ok && err == nil && n > 0 && len(digits) >= 6 {
			all = append(all, full{path + "." + digits, n})
		}
	}
	slices.SortFunc(all, func(a, b full) int { return a.number - b.number })
	return all, nil
}

// Files returns the files that a [File] at path has written, in the order in which they
// were written: those that were full and the one at path, as far as they are there.
func Files(path string) (paths []string, err error) {
	all, err := rotated(path)
	for _, f := range all {
		paths = append(paths, f.path)
	}
	if _, there := os.Stat(path); there == nil {
		paths = append(paths, path)
	}
	return paths, err
}

// mend makes the last line of a file whole, and returns the file's size then: a letter
// that lacks only the end of its line gets it, anything else behind the last line was cut
// off by a crash and is removed. What is there is synced: its writer may have failed to.
func mend(h handle) (size int64, cut int, err error) {
	info, err := h.Stat()
	if err != nil {
		return 0, 0, err
	}
	size = info.Size()
	tail, err := lastLine(h, size)
	switch {
	case err != nil:
		return size, 0, err
	case len(tail) == 0:
		return size, 0, h.Sync()
	}
	if _, err := parse(tail); err == nil {
		if _, err := h.WriteAt([]byte{'\n'}, size); err != nil {
			return size, 0, err
		}
		return size + 1, 0, h.Sync()
	}
	size -= int64(len(tail))
	if err := h.Truncate(size); err != nil {
		return size, 0, err
	}
	return size, len(tail), h.Sync()
}

// lastLine returns what follows the last end of a line in the first size bytes.
func lastLine(r io.ReaderAt, size int64) (tail []byte, err error) {
	const piece = 64 << 10
	for at := size; at > 0; {
		n := min(piece, at)
		at -= n
		head := make([]byte, n, int(n)+len(tail))
		if _, err := r.ReadAt(head, at); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if i := bytes.LastIndexByte(head, '\n'); i >= 0 {
			return append(head[i+1:], tail...), nil
		}
		tail = append(head, tail...)
	}
	return tail, nil
}
