package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRoomRefusesWithTheReason(t *testing.T) {
	of := func(users string) (pushes []push) {
		for _, u := range users {
			pushes = append(pushes, push{User: string(u)})
		}
		return pushes
	}
	one := int64(push{User: "a"}.size())
	r := newRoom(roomLimits{pushes: 4, bytes: 100 * one, userPushes: 2, userBytes: 100 * one})
	for _, step := range []struct {
		users string
		want  error
	}{
		{"ab", nil}, {"bb", errKeyFull}, {"aaa", errNever}, {"a", nil}, {"a", errKeyFull}, {"bcd", errFull}, {"abcde", errNever}, {"b", nil}, {"c", errFull},
	} {
		if err := r.take(of(step.users)); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.users, err, step.want)
		}
	}
	big := []push{{User: "z", Data: make(json.RawMessage, 101*one)}}
	if err := r.take(big); !errors.Is(err, errNever) {
		t.Errorf("%v, want errNever", err)
	}
	for _, p := range of("aabb") {
		r.free(p)
	}
	if r.held() != (usage{}) || len(r.users) != 0 {
		t.Errorf("%+v and %d users are left", r.held(), len(r.users))
	}
}

// TestRoomModel compares a room with a plain list of what is in it.
func TestRoomModel(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	limits := roomLimits{pushes: 20, bytes: 8000, userPushes: 5, userBytes: 1500}
	r := newRoom(limits)
	var in []push
	fits := func(pushes []push) bool {
		var n int
		var bytes int64
		users := map[string]usage{}
		for _, p := range pushes {
			n, bytes = n+1, bytes+int64(p.size())
			u := users[p.User]
			users[p.User] = usage{u.pushes + 1, u.bytes + int64(p.size())}
		}
		for _, u := range users {
			if u.pushes > limits.userPushes || u.bytes > limits.userBytes {
				return false
			}
		}
		return n <= limits.pushes && bytes <= limits.bytes
	}
	for range 20_000 {
		if len(in) > 0 && random.IntN(2) == 0 {
			i := random.IntN(len(in))
			r.free(in[i])
			in = append(in[:i], in[i+1:]...)
			continue
		}
		var batch []push
		for range 1 + random.IntN(7) {
			batch = append(batch, push{User: fmt.Sprint(random.IntN(6)), Data: make(json.RawMessage, random.IntN(600))})
		}
		err := r.take(batch)
		if all := append(in[:len(in):len(in)], batch...); (err == nil) != fits(all) {
			t.Fatalf("%v, but fits is %v", err, fits(all))
		}
		if errors.Is(err, errNever) == fits(batch) {
			t.Fatalf("%v, but alone they fit: %v", err, fits(batch))
		}
		if err == nil {
			in = append(in, batch...)
		}
		if r.held().pushes != len(in) {
			t.Fatalf("%+v, want %d", r.held(), len(in))
		}
	}
}

// TestEmbeddedBrokerFreesMemory: a topic of the broker in this process is made of parts
// much smaller than what is kept, since memory is freed by whole parts.
func TestEmbeddedBrokerFreesMemory(t *testing.T) {
	t.Parallel()
	r := start(t, "-source", "kafka", "-retention-mib", "16", "-partitions", "2")
	client, err := kgo.NewClient(kgo.SeedBrokers(r.source.(*kafkaSource).broker.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topics, err := kadm.NewClient(client).DescribeTopicConfigs(t.Context(), "pushes")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range topics[0].Configs {
		got[c.Key] = c.MaybeValue()
	}
	if got["retention.bytes"] != strconv.Itoa(8<<20) || got["segment.bytes"] != strconv.Itoa(1<<20) {
		t.Errorf("%v", got)
	}
}
