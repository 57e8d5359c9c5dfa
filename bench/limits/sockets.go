package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/penstock-go/penstock/bench/chart"
	"github.com/penstock-go/penstock/internal/ports"
)

// Units of what is measured with sockets.
const (
	perConnection         = "KB"
	perConnectionReleased = "KB released"
	perDelivery           = "µs"
)

var (
	joinedLine    = regexp.MustCompile(`resident for each: ([\d.]+) KB, ([\d.]+) KB`)
	deliveredLine = regexp.MustCompile(`: (\d+)/s, (\S+) of the server's CPU each`)
)

// growSockets lets 100 to 19,000 clients join one room of a server of their own, and returns
// the points of each unit.
func growSockets(ctx context.Context, b *binaries) (map[string][]chart.Point, error) {
	server, load := filepath.Join(b.dir, "channelserver"), filepath.Join(b.dir, "load")
	for file, pkg := range map[string]string{server: channels, load: channels + "/load"} {
		fmt.Fprintf(b.progress, "building %s\n", pkg)
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", file, pkg).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
	}
	points := make(map[string][]chart.Point)
	for _, clients := range []int{100, 300, 1000, 3000, 10_000, 19_000} {
		fmt.Fprintf(b.progress, "measuring a room of %d\n", clients)
		text, err := loadRoom(ctx, server, load, clients)
		if err != nil {
			return nil, err
		}
		values, err := readRoom(text)
		if err != nil {
			return nil, err
		}
		for unit, v := range values {
			points[unit] = append(points[unit], chart.Point{X: float64(clients), Y: v})
		}
	}
	return points, nil
}

// readRoom reads what the load client has printed.
func readRoom(text string) (map[string]float64, error) {
	joined, delivered := joinedLine.FindStringSubmatch(text), deliveredLine.FindStringSubmatch(text)
	if joined == nil || delivered == nil {
		return nil, fmt.Errorf("the load client did not print what a connection and a delivery cost:\n%s", text)
	}
	kept, err1 := strconv.ParseFloat(joined[1], 64)
	released, err2 := strconv.ParseFloat(joined[2], 64)
	each, err3 := time.ParseDuration(delivered[2])
	return map[string]float64{
		perConnection: kept, perConnectionReleased: released, perDelivery: float64(each) / float64(time.Microsecond),
	}, errors.Join(err1, err2, err3)
}

// loadRoom starts a server, makes about two million deliveries, and returns what the load
// client has printed.
func loadRoom(ctx context.Context, server, load string, clients int) (text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	port, err := ports.Take(1)
	if err != nil {
		return "", err
	}
	defer port.Close() // after the process has ended
	addr := port.Addr(0)
	process := exec.CommandContext(ctx, server, "-listen", addr)
	var log bytes.Buffer
	process.Stderr = &log
	if err := process.Start(); err != nil {
		return "", err
	}
	defer func() {
		_ = process.Process.Kill() // nothing of it is needed any more
		_ = process.Wait()         // says that it was killed
	}()
	for try := 0; ; try++ {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			break
		}
		if try == 100 {
			return "", fmt.Errorf("the server does not listen: %w\n%s", err, &log)
		}
		time.Sleep(50 * time.Millisecond)
	}
	rounds := min(2000, 2_000_000/clients)
	out, err := exec.CommandContext(ctx, load, "-mode", "room", "-server", addr, "-conns", fmt.Sprint(clients), "-rounds", fmt.Sprint(rounds)).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("a room of %d: %w\n%s", clients, err, out)
	}
	return string(out), nil
}
