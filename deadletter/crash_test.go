package deadletter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"
)

// fakeDisk is a disk that fails and crashes at random. What was not synced may be lost in
// a crash, in whole or in part.
type fakeDisk struct {
	r       *rand.Rand
	names   map[string]*fakeFile // as programs see them
	durable map[string]*fakeFile // as a crash leaves them
	room    int                  // bytes until the disk is full
	faults  bool
}

type fakeFile struct {
	disk    *fakeDisk
	now     []byte
	durable []byte
}

// open file of a fakeFile; the lock is not modelled.
func (d *fakeDisk) open(path string) (handle, error) {
	if d.fails() {
		return nil, syscall.EMFILE
	}
	if d.names[path] == nil {
		d.names[path] = &fakeFile{disk: d}
	}
	return d.names[path], nil
}

func (d *fakeDisk) fails() bool { return d.faults && d.r.IntN(8) == 0 }

func (d *fakeDisk) same(h handle, path string, size int64, loose bool) bool {
	f := d.names[path]
	return f == h && (loose || int64(len(f.now)) == size)
}

func (d *fakeDisk) rename(from, to string) error {
	if d.fails() {
		return syscall.EIO
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *fakeDisk) next(path string) (string, error) {
	for i := 1; ; i++ {
		if name := fmt.Sprintf("%s.%06d", path, i); d.names[name] == nil {
			return name, nil
		}
	}
}

func (d *fakeDisk) syncDir(string) error {
	if d.fails() {
		return syscall.EIO
	}
	d.durable = maps.Clone(d.names)
	return nil
}

// crash leaves what is durable and some of the rest.
func (d *fakeDisk) crash() {
	if d.r.IntN(2) == 0 {
		d.names = maps.Clone(d.durable)
	}
	for _, f := range d.names {
		switch common := min(len(f.now), len(f.durable)); {
		case d.r.IntN(3) == 0:
			f.now = slices.Clone(f.durable)
		case len(f.now) > common:
			extra := f.now[common:]
			extra = extra[:d.r.IntN(len(extra)+1)]
			if d.r.IntN(4) == 0 {
				extra = make([]byte, len(extra)) // the size is on the disk, the data is not
			}
			f.now = append(slices.Clone(f.now[:common]), extra...)
		}
		f.durable = slices.Clone(f.now)
	}
	d.durable = maps.Clone(d.names)
}

// text returns all files, the one at path last.
func (d *fakeDisk) text(path string) []byte {
	var all []byte
	names := slices.Sorted(maps.Keys(d.names)) // the file itself is first
	if len(names) > 0 && names[0] == path {
		names = append(names[1:], path)
	}
	for _, name := range names {
		all = append(all, d.names[name].now...)
	}
	return all
}

func (f *fakeFile) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(f.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.now[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *fakeFile) WriteAt(p []byte, at int64) (n int, err error) {
	n = len(p)
	switch {
	case f.disk.fails():
		n, err = f.disk.r.IntN(min(n, f.disk.room)+1), syscall.EIO
	case f.disk.room < n:
		n, err = f.disk.room, syscall.ENOSPC
	}
	f.disk.room -= n
	f.now = append(f.now[:at:at], p[:n]...)
	return n, err
}

func (f *fakeFile) Truncate(size int64) error {
	if f.disk.fails() {
		return syscall.EIO
	}
	f.disk.room += len(f.now) - int(size)
	f.now = slices.Clone(f.now[:size])
	return nil
}

func (f *fakeFile) Sync() error {
	if f.disk.fails() {
		// What was not synced is taken for clean, and is never written.
		if f.disk.r.IntN(2) == 0 && len(f.now) > len(f.durable) {
			clear(f.now[len(f.durable):])
		}
		return syscall.EIO
	}
	f.durable = slices.Clone(f.now)
	return nil
}

func (f *fakeFile) Close() error               { return nil }
func (f *fakeFile) Stat() (fs.FileInfo, error) { return fakeInfo{int64(len(f.now))}, nil }

type fakeInfo struct{ size int64 }

func (i fakeInfo) Size() int64      { return i.size }
func (fakeInfo) Name() string       { return "" }
func (fakeInfo) Mode() fs.FileMode  { return 0o600 }
func (fakeInfo) ModTime() time.Time { return time.Time{} }
func (fakeInfo) IsDir() bool        { return false }
func (fakeInfo) Sys() any           { return nil }

// Whatever the disk does, and whenever the machine crashes, a letter that was acknowledged
// can be read, in its order; one that was not is there only as a whole.
func TestFileLosesNothingAcknowledged(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 2))
		d := &fakeDisk{r: r, names: map[string]*fakeFile{}, durable: map[string]*fakeFile{}, room: 1 << 30}
		var acked []string
		var f *File
		full := 0
		for step := range 120 {
			d.faults = r.IntN(3) > 0
			switch r.IntN(12) {
			case 0:
				d.crash()
				f = nil
			case 1:
				d.room = r.IntN(400) // the disk fills up
			case 2:
				d.room = 1 << 30
			}
			if f == nil {
				var err error
				if f, err = newFile("letters", FileConfig{MaxBytes: 1500, Logger: quiet}, d); err != nil {
					f = nil
					continue
				}
			}
			var keys []string
			for i := range 1 + r.IntN(3) {
				keys = append(keys, fmt.Sprintf("%d-%d", step, i))
			}
			switch err := f.Write(t.Context(), letters(keys...)); {
			case err == nil:
				acked = append(acked, keys...)
			case errors.Is(err, syscall.ENOSPC):
				full++
			}
			if step%6 > 0 {
				continue
			}
			want := acked
			for l, err := range Read(bytes.NewReader(d.text("letters"))) {
				if err == nil && len(want) > 0 && l.Key == want[0] {
					want = want[1:]
				}
			}
			if len(want) > 0 {
				t.Fatalf("seed %d, step %d: %q was acknowledged and is not there, or not in order:\n%s", seed, step, want[0], d.text("letters"))
			}
		}
		if len(acked) == 0 || seed == 0 && full == 0 {
			t.Fatalf("seed %d: %d acknowledged, %d writes to a full disk", seed, len(acked), full)
		}
	}
}
