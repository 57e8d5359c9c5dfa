package deadletter

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"sync"

	"github.com/penstock-go/penstock/internal/option"
)

// DefaultMaxBytes is the size at which a File begins the next one.
const DefaultMaxBytes = 100 << 20

// FileConfig configures [NewFile]. The zero value is useful.
type FileConfig struct {
	// MaxBytes bounds the size of one file: the one that is full is renamed, with a
	// number after its name that grows, and kept. A batch is never divided. Default: 100
	// MiB; math.MaxInt64 sets no bound.
	MaxBytes int64
	// Logger gets a line when the rest of a write that a crash has cut off was removed,
	// when the file was replaced, and when it is full. Default: slog.Default.
	Logger *slog.Logger
}

// File is a [Sink] of JSON lines in a file: one letter is one line. Write returns nil
// when the lines are on the disk, as far as fsync promises it, and leaves nothing of a
// batch behind otherwise. All methods may be called from any goroutine.
//
// One process at a time may write to a file; on Unix systems others are refused. Reading
// it is always possible. A file that is renamed or deleted meanwhile is made again.
type File struct {
	path string
	max  int64
	log  *slog.Logger
	disk disk

	mu     sync.Mutex // guards the rest, also while the disk is used
	handle handle     // nil: to be opened
	size   int64      // of the whole lines in handle
	dirty  bool       // there may be a part of a batch behind them
	closed bool
	buf    []byte // of a batch, used again
}

// NewFile opens the file at path, or makes it, with the mode 0600. What a crash has left
// of a line is removed. An error is an [*OptionError] or one of the file system.
func NewFile(path string, cfg FileConfig) (*File, error) { return newFile(path, cfg, osDisk{}) }

func newFile(path string, cfg FileConfig, d disk) (*File, error) {
	option.Default(&cfg.MaxBytes, DefaultMaxBytes)
	option.Logger(&cfg.Logger)
	owner := option.Owner("deadletter.File")
	if err := option.First(
		owner.Check(path != "", "path", path, "a path"),
		option.Within(owner, "MaxBytes", cfg.MaxBytes, 1, math.MaxInt64),
	); err != nil {
		return nil, err
	}
	f := &File{path: path, max: cfg.MaxBytes, log: cfg.Logger, disk: d}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	return f, nil
}

// Write implements [Sink].
func (f *File) Write(ctx context.Context, letters []Letter) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	f.buf = f.buf[:0]
	for i := range letters {
		f.buf = appendLine(f.buf, letters[i])
	}
	if err := f.write(f.buf); err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	if cap(f.buf) > 1<<20 {
		f.buf = nil // a large batch is rare
	}
	return nil
}

// write appends whole lines. After an error nothing of them is in the file, or dirty is
// set and the next write removes it.
func (f *File) write(lines []byte) error {
	if f.closed {
		return fs.ErrClosed
	}
	if f.handle != nil && !f.disk.same(f.handle, f.path, f.size, f.dirty) {
		f.log.Warn("the file of dead letters was replaced or changed; it is opened again", "path", f.path)
		f.shut()
	}
	if f.handle == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if f.dirty {
		// Opening the file again would not do: the size that is on the disk is known here.
		if err := f.clean(); err != nil {
			return err
		}
	}
	if f.size > 0 && f.size+int64(len(lines)) > f.max {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	f.dirty = true
	_, err := f.handle.WriteAt(lines, f.size)
	if err == nil {
		// A failed fsync may have dropped the pages: only writing them again is safe.
		err = f.handle.Sync()
	}
	if err != nil {
		_ = f.clean() // the next write tries it again
		return err
	}
	f.size += int64(len(lines))
	f.dirty = false
	return nil
}

// clean removes what is behind the whole lines.
func (f *File) clean() error {
	err := f.handle.Truncate(f.size)
	if err == nil {
		f.dirty = false
	}
	return err
}

// open opens the file, mends its end, and makes sure that its name is on the disk.
func (f *File) open() error {
	h, err := f.disk.open(f.path)
	if err != nil {
		return err
	}
	size, cut, err := mend(h)
	if err == nil {
		err = f.disk.syncDir(f.path)
	}
	if err != nil {
		_ = h.Close() // the error that matters is err
		return err
	}
	if cut > 0 {
		f.log.Warn("removed the rest of a dead letter whose write was cut off", "path", f.path, "bytes", cut)
	}
	f.handle, f.size, f.dirty = h, size, false
	return nil
}

// shut closes the handle. What was acknowledged is on the disk already.
func (f *File) shut() {
	_ = f.handle.Close()
	f.handle = nil
}

// rotate renames the file and begins another one.
func (f *File) rotate() error {
	to, err := f.disk.next(f.path)
	if err != nil {
		return err
	}
	f.shut()
	if err := f.disk.rename(f.path, to); err != nil {
		return err
	}
	f.log.Info("a file of dead letters is full", "path", f.path, "renamed", to, "bytes", f.size)
	return f.open() // syncs the directory
}

// Close closes the file. Later writes fail.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.handle == nil {
		return nil
	}
	err := f.handle.Close()
	f.handle = nil
	return err
}
