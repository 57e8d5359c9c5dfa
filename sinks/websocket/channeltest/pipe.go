package channeltest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
)

// taker is an http.ResponseWriter whose connection is one end of a pipe. It keeps the
// status and body of a refusal; an upgrade takes the connection instead. The
// goroutine of ServeHTTP owns the fields until it has returned.
type taker struct {
	client, server net.Conn      // the ends of the pipe
	taken          chan struct{} // closed by Hijack
	header         http.Header
	status         int
	body           bytes.Buffer
}

// newTaker returns a taker with a fresh pipe.
func newTaker() *taker {
	t := &taker{taken: make(chan struct{}), header: make(http.Header), status: http.StatusOK}
	t.client, t.server = net.Pipe()
	return t
}

func (t *taker) Header() http.Header         { return t.header }
func (t *taker) WriteHeader(status int)      { t.status = status }
func (t *taker) Write(p []byte) (int, error) { return t.body.Write(p) }

// Hijack gives the server its end of the pipe, with small buffers.
func (t *taker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	close(t.taken)
	// The endpoint drops both buffers after the upgrade, so that they can be
	// tiny.
	rw := bufio.NewReadWriter(bufio.NewReaderSize(t.server, 16), bufio.NewWriterSize(t.server, 16))
	return t.server, rw, nil
}

// skipHead reads the response to the upgrade, byte by byte, so that the frames
// after it stay in the connection.
func skipHead(r io.Reader) error {
	var head []byte
	b := make([]byte, 1)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if _, err := r.Read(b); err != nil {
			return err
		}
		head = append(head, b[0])
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		return errors.New(string(line))
	}
	return nil
}
