package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/retry"
)

// target is where events are played to.
type target interface {
	// most is how many letters one write takes.
	most() int
	// write writes the events of letters. An error marked with retry.Never is a refusal;
	// after any other one the same letters are written again, or the play ends.
	write(ctx context.Context, items []item) error
	// close is called once, after the last write.
	close()
}

// open returns the target of the command line.
func (t *tool) open() (target, error) {
	switch {
	case t.to == "-":
		return stdout{t.out}, nil
	case t.to != "":
		return &web{url: t.to, header: t.header, client: &http.Client{
			// A redirected POST would become a GET without its body.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}, nil
	}
	w, err := kafka.NewWriter(kafka.WriterConfig{Brokers: t.brokers, Topic: t.topic})
	if err != nil {
		return nil, err
	}
	return topic{w}, nil
}

// stdout prints each event as a line of JSON. One that is not JSON is a string in base64.
type stdout struct{ out io.Writer }

func (stdout) most() int { return 1 }
func (stdout) close()    {}

func (s stdout) write(_ context.Context, items []item) error {
	for _, i := range items {
		if _, err := s.out.Write(append(bytes.Clone(i.Event), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// web sends each event as the body of a POST.
type web struct {
	url    string
	header http.Header
	client *http.Client
}

func (*web) most() int { return 1 }
func (w *web) close()  { w.client.CloseIdleConnections() }

func (w *web) write(ctx context.Context, items []item) error {
	i := items[0]
	data, err := i.Bytes()
	if err != nil {
		return retry.Never(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(data))
	if err != nil {
		return retry.Never(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if i.Binary {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	req.Header.Set("Dead-Letter-Id", i.id)
	for name, values := range w.header {
		req.Header[name] = values
		if name == "Host" {
			req.Host = values[0]
		}
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // only for the error
	return verdict(resp, string(text))
}

// verdict returns what a response means.
func verdict(resp *http.Response, text string) error {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	err := fmt.Errorf("%s: %s", resp.Status, plain(strings.TrimSpace(text), 100))
	if code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout {
		if seconds, bad := strconv.Atoi(resp.Header.Get("Retry-After")); bad == nil && seconds > 0 {
			err = retry.After(err, time.Duration(min(seconds, 3600))*time.Second)
		}
		return err
	}
	return retry.Never(err)
}

// topic writes each event as a record with the letter's key.
type topic struct{ writer *kafka.Writer }

func (topic) most() int { return 500 }

func (t topic) write(ctx context.Context, items []item) error {
	var records []*kgo.Record
	for _, i := range items {
		data, err := i.Bytes()
		if err != nil {
			return retry.Never(err)
		}
		r := &kgo.Record{Value: data}
		if i.Key != "" {
			r.Key = []byte(i.Key)
		}
		records = append(records, r)
	}
	return t.writer.Write(ctx, records...)
}

func (t topic) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = t.writer.Close(ctx) // all writes have returned
}
