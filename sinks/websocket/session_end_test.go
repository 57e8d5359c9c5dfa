package websocket

import "testing"

// TestASessionThatEndsBeforeItBegins leaves no subscription of its id.
func TestASessionThatEndsBeforeItBegins(t *testing.T) {
	e, err := NewEndpoint(EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	m := e.newMount("/socket", NewSocket(SocketConfig[int]{}).kind(), MountConfig{}.withDefaults())
	s := newSession(m, admission{id: "users:1"})
	s.tr = &sink{s: &s}
	s.finish(ErrShutdown)
	s.begin(admission{})
	if n := e.hub.Subscribers("users:1"); n != 0 {
		t.Errorf("%d subscriptions", n)
	}
}
