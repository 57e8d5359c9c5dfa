package statsdserver

import (
	"context"
	"net"
	"testing"
	"time"
)

func TestServerReceives(t *testing.T) {
	s, err := Listen(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := net.Dial("udp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 3 {
		if _, err := conn.Write([]byte("hits:1|c\ntook:2|ms")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Wait(ctx, func(snap Snapshot) bool {
		hits, _ := snap.Find("hits", "")
		took, _ := snap.Find("took", "")
		return hits.Value == 3 && took.Life.Count == 3
	}); err != nil {
		t.Fatalf("%v: %+v", err, s.Snapshot())
	}
}

func TestServerClosesTwice(t *testing.T) {
	s, err := Listen(Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.Add([]byte("hits:1|c"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.Snapshot().Lines; got != 1 {
		t.Errorf("after Close %d lines can be read, want 1", got)
	}
}

func TestListenRefusesABadAddress(t *testing.T) {
	for _, addr := range []string{"nonsense", "127.0.0.1:99999999"} {
		if s, err := Listen(Config{Address: addr}); err == nil {
			s.Close()
			t.Errorf("Listen(%q) returns no error", addr)
		}
	}
}
