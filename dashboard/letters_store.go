package dashboard

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"

	"github.com/penstock-go/penstock/deadletter"
)

const (
	// maxTail bounds how much of a file is read for a page.
	maxTail = 4 << 20
	// maxCounted bounds how much of a file is counted for one snapshot.
	maxCounted = 64 << 20
	// maxRead bounds the letters that are read by a function.
	maxRead = 100_000
)

// funcStore reads letters by functions of the program.
type funcStore struct {
	read  func() iter.Seq2[deadletter.Letter, error]
	total func() int
}

func (s funcStore) count() (int64, error) { return int64(s.total()), nil }

func (s funcStore) newest(ctx context.Context, f func(deadletter.Letter) bool) error {
	return each(ctx, s.read(), f)
}

// each calls f with letters. What cannot be read of one does not hide the others.
func each(ctx context.Context, all iter.Seq2[deadletter.Letter, error], f func(deadletter.Letter) bool) error {
	n := 0
	for l, err := range all {
		if _, ok := errors.AsType[*deadletter.LineError](err); ok {
			continue
		}
		if err != nil {
			return err
		}
		if n++; n > maxRead || ctx.Err() != nil || !f(l) {
			return ctx.Err()
		}
	}
	return nil
}

// fileStore reads the files that a deadletter.File has written.
type fileStore struct {
	path  string
	known map[string]counted // by path, of those that were there
	last  string             // the path of the full file that was written last
}

// counted is how far a file was counted.
type counted struct {
	bytes, lines int64
	file         os.FileInfo // which file that was, nil: none yet
}

// count counts the lines that were added to the files.
func (s *fileStore) count() (int64, error) {
	paths, err := deadletter.Files(s.path)
	if err != nil {
		return 0, err
	}
	newest := ""
	for _, path := range paths {
		if path != s.path {
			newest = path
		}
	}
	if newest != s.last {
		// The present file was renamed. Another one may have its inode, if it was deleted.
		s.last = newest
		delete(s.known, s.path)
	}
	before := s.known
	s.known = make(map[string]counted, len(paths))
	var total int64
	budget := int64(maxCounted)
	for _, path := range paths {
		c := before[path]
		if budget > 0 {
			from := c.bytes
			if c, err = more(path, c, budget); err != nil {
				s.known = before // and count on from there the next time
				return total, err
			}
			budget -= max(0, c.bytes-from)
		}
		s.known[path] = c
		total += c.lines
	}
	return total, nil
}

// more counts what was added to a file, up to a number of bytes.
func more(path string, c counted, most int64) (counted, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return counted{}, nil // it was renamed in this moment
	}
	if err != nil {
		return c, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return c, err
	}
	if info.Size() < c.bytes || c.file != nil && !os.SameFile(c.file, info) {
		c = counted{}
	}
	c.file = info
	buf := make([]byte, min(64<<10, info.Size()-c.bytes))
	for most > 0 && c.bytes < info.Size() {
		n, err := f.ReadAt(buf, c.bytes)
		c.bytes += int64(n)
		most -= int64(n)
		c.lines += int64(bytes.Count(buf[:n], []byte{'\n'}))
		if err == io.EOF || n == 0 {
			break
		}
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

// newest reads the end of the newest file, and of the one before if that is short.
func (s *fileStore) newest(ctx context.Context, f func(deadletter.Letter) bool) error {
	paths, err := deadletter.Files(s.path)
	if err != nil {
		return err
	}
	var tails [][]byte
	for room := int64(maxTail); room > 0 && len(paths) > 0; paths = paths[:len(paths)-1] {
		t, err := tail(paths[len(paths)-1], room)
		if err != nil {
			return err
		}
		room -= int64(len(t))
		tails = append(tails, t)
	}
	for i := len(tails) - 1; i >= 0; i-- {
		on := true
		err := each(ctx, deadletter.Read(bytes.NewReader(tails[i])), func(l deadletter.Letter) bool { on = f(l); return on })
		if err != nil || !on {
			return err
		}
	}
	return nil
}

// tail returns the whole lines among the last bytes of a file.
func tail(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, info.Size()-most)
	b, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return nil, err
	}
	if from > 0 {
		_, b, _ = bytes.Cut(b, []byte{'\n'}) // the rest of a line
	}
	return b, nil
}
