package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

func init() { children["reader"] = readerProcess }

// processorTime is what this process has used of the processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// readerProcess is the clients of BenchmarkPushLimits: one goroutine that reads all sockets
// by epoll, so that they cost little beside the program. Each line of its input is a question
// for what was read.
func readerProcess() int {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return 1
	}
	var told readers
	if err := json.Unmarshal(line, &told); err != nil {
		return 1
	}
	r := &socketReader{buf: make([]byte, 256<<10)}
	if err := r.dialAll(told); err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		return 1
	}
	go r.run()
	answer := json.NewEncoder(os.Stdout)
	for err := answer.Encode("ready"); err == nil; err = answer.Encode(r.report()) {
		if _, err := in.ReadBytes('\n'); err != nil {
			break
		}
	}
	return 0
}

// socketReader reads the sockets of all clients.
type socketReader struct {
	epoll   int
	clients []*socketClient
	buf     []byte

	mu    sync.Mutex // guards the fields below
	late  [10_000]int64
	count int64
	wrong int64
	cpu   time.Duration // at the last report
}

// lateStep is the width of a count of late.
const lateStep = 100 * time.Microsecond

type socketClient struct {
	file  *os.File
	fd    int
	topic []byte // quoted
	seq   uint64 // of the last push
	rest  []byte // the beginning of a frame
}

// dialAll connects and joins.
func (r *socketReader) dialAll(told readers) (err error) {
	if r.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	r.clients = make([]*socketClient, len(told.Protocols))
	var group errgroup.Group
	group.SetLimit(32)
	for i, protocol := range told.Protocols {
		group.Go(func() (err error) {
			r.clients[i], err = dialSocket(told, strconv.Itoa(i+1), protocol)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, c := range r.clients {
		event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)}
		if err := syscall.EpollCtl(r.epoll, syscall.EPOLL_CTL_ADD, c.fd, &event); err != nil {
			return err
		}
	}
	return nil
}

// dialSocket connects a client and joins its topic.
func dialSocket(told readers, user, protocol string) (*socketClient, error) {
	nc, err := net.Dial("tcp", told.Addr)
	if err != nil {
		return nil, err
	}
	defer nc.Close() // the file is another descriptor
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(nc, "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: phoenix, %s\r\n%s: %s\r\n\r\n",
		told.Addr, protocol, ownHeader, told.Name)
	buffered := bufio.NewReader(nc)
	response, err := http.ReadResponse(buffered, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(response.Status)
	}
	topic := topicOf(user)
	// A mask of zeros leaves the text as it is.
	join := `["1","1","` + topic + `","phx_join",{}]`
	if _, err := nc.Write(append([]byte{0x81, 0x80 | byte(len(join)), 0, 0, 0, 0}, join...)); err != nil {
		return nil, err
	}
	var head [2]byte
	if _, err := io.ReadFull(buffered, head[:]); err != nil {
		return nil, err
	}
	reply := make([]byte, head[1])
	if _, err := io.ReadFull(buffered, reply); err != nil {
		return nil, err
	}
	if !bytes.Contains(reply, []byte(`"status":"ok"`)) || buffered.Buffered() > 0 {
		return nil, fmt.Errorf("the join of %s: %s", user, reply)
	}
	file, err := nc.(*net.TCPConn).File()
	if err != nil {
		return nil, err
	}
	fd := int(file.Fd())
	return &socketClient{file: file, fd: fd, topic: []byte(`"` + topic + `"`)}, syscall.SetNonblock(fd, true)
}

// run reads until the process ends.
func (r *socketReader) run() {
	events := make([]syscall.EpollEvent, 512)
	for {
		n, err := syscall.EpollWait(r.epoll, events, -1)
		if err != nil && err != syscall.EINTR {
			panic(err)
		}
		r.mu.Lock()
		for _, e := range events[:max(n, 0)] {
			c := r.clients[e.Fd]
			kept := copy(r.buf, c.rest)
			n, err := syscall.Read(c.fd, r.buf[kept:])
			if n <= 0 {
				if err != syscall.EAGAIN && err != syscall.EINTR {
					_ = syscall.EpollCtl(r.epoll, syscall.EPOLL_CTL_DEL, c.fd, nil)
				}
				continue
			}
			r.take(c, r.buf[:kept+n], time.Now().UnixMicro())
		}
		r.mu.Unlock()
	}
}

// take notes the frames of b and keeps the rest of it. The mutex is held.
func (r *socketReader) take(c *socketClient, b []byte, now int64) {
	for len(b) >= 4 {
		head, size := 2, int(b[1])
		if size == 126 {
			head, size = 4, int(binary.BigEndian.Uint16(b[2:]))
		}
		if len(b) < head+size {
			break
		}
		r.push(c, b[head:head+size], now)
		b = b[head+size:]
	}
	c.rest = append(c.rest[:0], b...)
}

// push notes a push.
func (r *socketReader) push(c *socketClient, message []byte, now int64) {
	if !bytes.Contains(message, []byte(event)) {
		return
	}
	r.count++
	at, err := strconv.ParseFloat(string(field(message, `"at":`)), 64)
	seq, seqErr := strconv.ParseUint(string(field(message, `"seq":`)), 10, 64)
	if err != nil || seqErr != nil || seq <= c.seq || !bytes.Contains(message[:min(len(message), 64)], c.topic) {
		r.wrong++
	}
	c.seq = seq
	late := time.Duration(now-int64(math.Round(at*1000))) * time.Microsecond
	r.late[min(max(int(late/lateStep), 0), len(r.late)-1)]++
}

// field returns the number after the last name.
func field(message []byte, name string) []byte {
	i := bytes.LastIndex(message, []byte(name))
	if i < 0 {
		return nil
	}
	value := message[i+len(name):]
	if end := bytes.IndexAny(value, ",}"); end >= 0 {
		value = value[:end]
	}
	return value
}

// report returns what was read since the last report.
func (r *socketReader) report() (now reading) {
	r.mu.Lock()
	defer r.mu.Unlock()
	used := processorTime()
	now = reading{Count: r.count, Wrong: r.wrong, CPU: (used - r.cpu).Seconds()}
	seen := int64(0)
	for i, n := range r.late {
		if seen += n; seen > r.count*99/100 {
			now.P99 = (time.Duration(i+1) * lateStep).Seconds()
			break
		}
	}
	r.cpu, r.count, r.wrong, r.late = used, 0, 0, [10_000]int64{}
	return now
}
