//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is one of those that are compared, in the process that runs it.
type server interface {
	// serve begins to accept connections and returns.
	serve(l net.Listener) error
	// publish sends a payload to all clients that have joined topic. The payload is not
	// changed afterwards. It may be called from several goroutines, but for one topic
	// from one only.
	publish(topic string, payload []byte) error
}

const (
	roomTopic  = "room:load"
	usersTopic = "user:"
)

// pushers is how many goroutines push to users.
const pushers = 2

// reply is the response to a command, as a line of JSON.
type reply struct {
	Micros int64  `json:"us"`  // that the messages took to be published
	CPU    int64  `json:"cpu"` // that the process has used so far, in microseconds
	Error  string `json:"error,omitempty"`
}

// serveCommands runs a server until in ends. It prints the address first, and then one
// reply for each line of in:
//
//	room COUNT               publish to the room
//	users USERS ROUNDS RATE  publish to each user in turn; RATE 0 means flat out
//	gc                       give memory that is not used back to the system
//	usage                    nothing
func serveCommands(s server, in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	if err := s.serve(l); err != nil {
		return err
	}
	fmt.Fprintln(out, addr)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var r reply
		if err := command(s, strings.Fields(lines.Text()), &r); err != nil {
			r.Error = err.Error()
		}
		r.CPU = cpuTime().Microseconds()
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
	}
	return lines.Err()
}

func command(s server, words []string, r *reply) error {
	numbers := make([]int, 3)
	for i := range words[1:] {
		n, err := strconv.Atoi(words[1+i])
		if err != nil {
			return err
		}
		numbers[i] = n
	}
	start := time.Now()
	defer func() { r.Micros = time.Since(start).Microseconds() }()
	switch words[0] {
	case "room":
		for i := range numbers[0] {
			if err := s.publish(roomTopic, appendPayload(nil, time.Now().UnixNano(), int64(i))); err != nil {
				return err
			}
		}
	case "users":
		return pushAll(s, start, numbers[0], numbers[1], numbers[2])
	case "gc":
		debug.FreeOSMemory()
	}
	return nil
}

// pushAll pushes to each user in turn, so many times. A user belongs to one goroutine,
// so that the order of its messages is that of their numbers.
func pushAll(s server, start time.Time, users, rounds, rate int) error {
	topics := make([]string, users)
	for i := range topics {
		topics[i] = usersTopic + strconv.Itoa(i)
	}
	var wg sync.WaitGroup
	errs := make([]error, pushers)
	for p := range pushers {
		wg.Go(func() {
			at := pace{start: start, rate: rate}
			for round := range rounds {
				for u := p; u < users; u += pushers {
					ts := at.wait(round*users + u)
					if err := s.publish(topics[u], appendPayload(nil, ts, int64(round))); err != nil {
						errs[p] = err
						return
					}
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// pace is the schedule of one goroutine. A rate of 0 is none.
type pace struct {
	start time.Time
	rate  int       // a second, of all goroutines
	woken time.Time // when it last had to wait
}

// wait waits until a message is due and returns its time, in Unix nanoseconds.
func (p *pace) wait(message int) int64 {
	if p.rate == 0 {
		return time.Now().UnixNano()
	}
	if left := time.Until(p.due(message)); left > 0 {
		time.Sleep(left)
		p.woken = time.Now()
	}
	return p.stamp(message)
}

func (p *pace) due(message int) time.Time {
	return p.start.Add(time.Duration(message) * time.Second / time.Duration(p.rate))
}

// stamp is when a message was due, so that one that waited for a slow publish before it is as
// old as it is late, but not before the goroutine woke: the runtime's timers are late by up to
// a millisecond.
func (p *pace) stamp(message int) int64 {
	if due := p.due(message); due.After(p.woken) {
		return due.UnixNano()
	}
	return p.woken.UnixNano()
}

// cpuTime is what this process has used, in user and system mode.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
