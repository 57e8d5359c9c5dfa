//go:build linux

package main

import (
	"bytes"
	"sync"
)

// topics are the connections that have joined each topic, for libraries that leave that
// to the program.
type topics[C any] struct {
	mu    sync.RWMutex
	conns map[string][]C
}

func newTopics[C any]() *topics[C] { return &topics[C]{conns: make(map[string][]C)} }

func (t *topics[C]) join(topic string, c C) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns[topic] = append(t.conns[topic], c)
}

// of returns those of a topic; the slice must not be changed.
func (t *topics[C]) of(topic string) []C {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.conns[topic]
}

// appendMessage is a message of a topic as Phoenix has it.
func appendMessage(dst []byte, topic string, payload []byte) []byte {
	dst = append(append(dst, `[null,null,"`...), topic...)
	dst = append(dst, `","msg",`...)
	return append(append(dst, payload...), ']')
}

// respond returns the response to a message of a client, which joins a topic or wants an
// echo. The topic is "" unless the client joins it.
func respond(m []byte) (topic string, response []byte) {
	parts := bytes.SplitN(m, []byte(`"`), 9) // [ 1 , 1 , topic , event , payload]
	if len(parts) < 9 {
		return "", nil
	}
	name, payload := parts[5], []byte(`{}`)
	if string(parts[7]) == "echo" {
		payload = bytes.TrimSuffix(bytes.TrimPrefix(parts[8], []byte(",")), []byte("]"))
	} else {
		topic = string(name)
	}
	response = make([]byte, 0, len(m)+80)
	response = append(append(append(response, `["1","`...), parts[3]...), `","`...)
	response = append(append(response, name...), `","phx_reply",{"status":"ok","response":`...)
	return topic, append(append(response, payload...), '}', ']')
}
