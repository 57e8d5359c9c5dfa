//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// The attackers run in a process of their own with the lowest priority: real ones do
// not take the processor time of the server, nor that of the honest users.

// storm is a process of attackers.
type storm struct {
	cmd *exec.Cmd
	in  io.Closer // closing it ends the attack
	out io.Reader // the tally, once the attack has ended
}

// unleash starts an attack on the program at target.
func unleash(a attack, target string, seed uint64) (*storm, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &storm{cmd: exec.Command("nice", "-n", "19", self, "-only", a.name, "-target", target, "-seed", fmt.Sprint(seed))}
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if s.out, err = s.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return s, s.cmd.Start()
}

// calm ends the attack and returns what the attackers saw.
func (s *storm) calm() (*tally, error) {
	_ = s.in.Close() // the process may be gone
	t := newTally()
	decoded := json.NewDecoder(s.out).Decode(&t.n)
	return t, errors.Join(decoded, s.cmd.Wait())
}

// attackAlone is the process of the attackers: it makes one attack until standard
// input ends, and prints the tally.
func attackAlone(name, target string, seed uint64) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	for _, a := range attacks {
		if a.name == name {
			t := newTally()
			a.run(ctx, &attacker{target: target, producer: producer("attacker"), tally: t, seed: seed})
			t.mu.Lock()
			defer t.mu.Unlock()
			return json.NewEncoder(os.Stdout).Encode(t.n)
		}
	}
	return fmt.Errorf("no attack is named %q", name)
}
