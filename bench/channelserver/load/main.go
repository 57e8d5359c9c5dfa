// Load connects many clients to a channelserver, or to the Phoenix application
// it is the twin of, joins a topic with each, and reports what the server's
// pushes and broadcasts take to arrive.
//
//	go run ./bench/channelserver/load -server 127.0.0.1:4100 -conns 5000 -topic room:load -post '/broadcast?topic=room:load&count=200'
//	go run ./bench/channelserver/load -conns 5000 -topic user: -post '/push?users=5000&rounds=40&workers=2'
//
// A topic that ends with ":" is completed with the client's user id. The
// latency is that of the payload's "ts" to the arrival of its bytes, on one
// machine's clock. It ends by itself when all that the post caused has come, or
// nothing has come for -quiet.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/gobwas/ws"
)

type options struct {
	server, topic, post, path string
	conns, parallel           int
	expect                    int64
	quiet, hold               time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "127.0.0.1:4100", "address of the server")
	flag.StringVar(&o.path, "path", "/socket/websocket", "path of the socket")
	flag.StringVar(&o.topic, "topic", "room:load", "topic to join; none if empty")
	flag.StringVar(&o.post, "post", "", "path to POST to when all have joined")
	flag.IntVar(&o.conns, "conns", 1000, "number of clients")
	flag.IntVar(&o.parallel, "parallel", 64, "clients that connect at once")
	flag.Int64Var(&o.expect, "expect", 0, "messages to wait for; 0: until quiet")
	flag.DurationVar(&o.quiet, "quiet", 2*time.Second, "end when nothing came for so long")
	flag.DurationVar(&o.hold, "hold", 0, "stay connected for so long at the end")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	tokens, err := get(o, fmt.Sprintf("/tokens?from=0&count=%d", o.conns))
	if err != nil {
		return err
	}
	list := strings.Fields(tokens)
	if len(list) != o.conns {
		return fmt.Errorf("got %d tokens, want %d", len(list), o.conns)
	}
	before, err := get(o, "/stats?gc=1")
	if err != nil {
		return err
	}
	start := time.Now()
	clients, err := connectAll(o, list)
	defer func() {
		for _, c := range clients {
			if c != nil {
				_ = c.nc.Close() // the end of the test
			}
		}
	}()
	if err != nil {
		return err
	}
	fmt.Printf("connected %d in %v\n", o.conns, time.Since(start).Round(time.Millisecond))
	after, err := get(o, "/stats?gc=1")
	if err != nil {
		return err
	}
	fmt.Printf("stats before %sstats after  %s", before, after)

	var received atomic.Int64
	var group sync.WaitGroup
	// A histogram for each client would cost more than the clients.
	hists := make([]*latencies, 32)
	for i := range hists {
		hists[i] = &latencies{h: newHistogram()}
	}
	for i, c := range clients {
		group.Go(func() { c.read(&received, hists[i%len(hists)]) })
	}
	if o.post != "" {
		start = time.Now()
		go func() {
			resp, err := http.Post("http://"+o.server+o.post, "", nil)
			if err != nil {
				fmt.Fprintln(os.Stderr, "load:", err)
				return
			}
			defer resp.Body.Close()
			answer, _ := io.ReadAll(resp.Body) // for the report only
			fmt.Printf("post: %s in %v\n", bytes.TrimSpace(answer), time.Since(start).Round(time.Millisecond))
		}()
		last := wait(o, &received, start)
		took := last.Sub(start)
		n := received.Load()
		fmt.Printf("received %d in %v: %.0f/s\n", n, took.Round(time.Millisecond), float64(n)/took.Seconds())
	}
	time.Sleep(o.hold) // a flag says so
	for _, c := range clients {
		_ = c.nc.SetReadDeadline(time.Now()) // ends the readers
	}
	group.Wait()
	total := newHistogram()
	for _, l := range hists {
		total.Merge(l.h)
	}
	if total.TotalCount() > 0 {
		fmt.Printf("latency us: p50 %d p90 %d p99 %d p99.9 %d max %d\n", total.ValueAtQuantile(50), total.ValueAtQuantile(90),
			total.ValueAtQuantile(99), total.ValueAtQuantile(99.9), total.Max())
	}
	return nil
}

// latencies are shared by some clients.
type latencies struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram // in microseconds
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 2)
}

func (l *latencies) record(us int64) {
	l.mu.Lock()
	_ = l.h.RecordValue(max(1, us)) // beyond a minute: not counted
	l.mu.Unlock()
}

// wait waits until all has come and answers when the last message came.
func wait(o options, received *atomic.Int64, start time.Time) time.Time {
	last, seen := start, int64(0)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for now := range tick.C {
		n := received.Load()
		if n != seen {
			seen, last = n, now
		}
		if (o.expect > 0 && n >= o.expect) || now.Sub(last) > o.quiet {
			break
		}
	}
	return last
}

func get(o options, path string) (string, error) {
	resp, err := http.Get("http://" + o.server + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func connectAll(o options, tokens []string) ([]*client, error) {
	clients := make([]*client, len(tokens))
	errs := make(chan error, len(tokens))
	slots := make(chan struct{}, o.parallel)
	for i, tok := range tokens {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			c, err := connect(o, tok, strconv.Itoa(i))
			clients[i] = c
			errs <- err
		}()
	}
	for range tokens {
		if err := <-errs; err != nil {
			return clients, err
		}
	}
	return clients, nil
}

type client struct {
	nc  net.Conn
	buf []byte
	n   int
}

func connect(o options, token, id string) (*client, error) {
	nc, err := net.Dial("tcp", o.server)
	if err != nil {
		return nil, err
	}
	c := &client{nc: nc, buf: make([]byte, 1024)}
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second)) // an error shows below
	_, err = fmt.Fprintf(nc, "GET %s?vsn=2.0.0&token=%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", o.path, token, o.server)
	if err != nil {
		return c, err
	}
	if err := c.until([]byte("\r\n\r\n")); err != nil {
		return c, err
	}
	if o.topic == "" {
		return c, nc.SetDeadline(time.Time{})
	}
	topic := o.topic
	if strings.HasSuffix(topic, ":") {
		topic += id
	}
	join := ws.MaskFrame(ws.NewTextFrame([]byte(`["1","1","` + topic + `","phx_join",{}]`)))
	if err := ws.WriteFrame(nc, join); err != nil {
		return c, err
	}
	if err := c.until([]byte(`"status":"ok"}]`)); err != nil {
		return c, err
	}
	return c, nc.SetDeadline(time.Time{})
}

// until reads up to the end mark, which is the last that the server sends.
func (c *client) until(mark []byte) error {
	for {
		n, err := c.nc.Read(c.buf[c.n:])
		c.n += n
		if at := bytes.Index(c.buf[:c.n], mark); at >= 0 {
			c.n = copy(c.buf, c.buf[at+len(mark):c.n])
			return nil
		}
		if err != nil {
			return fmt.Errorf("waiting for %q: %w (%q)", mark, err, c.buf[:c.n])
		}
		if c.n == len(c.buf) {
			return fmt.Errorf("waiting for %q: too much", mark)
		}
	}
}

var stamp = []byte(`"ts":`)

// read counts messages until the connection ends.
func (c *client) read(received *atomic.Int64, l *latencies) {
	for {
		n, err := c.nc.Read(c.buf[c.n:])
		if err != nil {
			return
		}
		now := time.Now().UnixNano()
		c.n += n
		rest := c.buf[:c.n]
		count := int64(0)
		for len(rest) >= 2 {
			head, size := 2, int(rest[1])
			if size == 126 {
				if len(rest) < 4 {
					break
				}
				head, size = 4, int(rest[2])<<8|int(rest[3])
			} else if size == 127 {
				return // larger than any message of ours
			}
			if head+size > len(c.buf) {
				c.buf = append(c.buf, make([]byte, head+size)...)
			}
			if len(rest) < head+size {
				break
			}
			message := rest[head : head+size]
			rest = rest[head+size:]
			if at := bytes.Index(message, stamp); at >= 0 {
				end := at + len(stamp)
				ts := int64(0)
				for ; end < len(message) && message[end] >= '0' && message[end] <= '9'; end++ {
					ts = ts*10 + int64(message[end]-'0')
				}
				l.record((now - ts) / 1000)
				count++
			}
		}
		c.n = copy(c.buf, rest)
		received.Add(count)
	}
}
