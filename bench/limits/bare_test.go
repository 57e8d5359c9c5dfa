package main

import "testing"

func TestBareRows(t *testing.T) {
	const text = `2026-11-28; 2 processors, 5000 clients, medians of 3.

room: 600 messages to a room of all clients, flat out.

|          | M/s  | server us | M/s, ratio |
|-         |-     |-          |-           |
| bare     | 4.00 | 0.100     | 1.00       |
| penstock | 3.90 | 0.160     | 0.975      |

users: 60 messages to each client's own topic, flat out.

|          | M/s  | server us | M/s, ratio |
|-         |-     |-          |-           |
| bare     | 1.00 | 1.00      | 1.00       |
| penstock | 0.50 | 2.50      | 0.500      |

- bare: the limit.
`
	rows, err := bareRows(text)
	if err != nil || len(rows) != 4 {
		t.Fatalf("%+v, %v", rows, err)
	}
	want := row{work: rows[0].work, figure: "M deliveries/s", ours: "3.9", limit: "4", ratio: "0.97", goal: "≥ 0.95", verdict: met}
	if rows[0] != want {
		t.Errorf("%+v, want %+v", rows[0], want)
	}
	if rows[1].ratio != "1.60" || rows[1].verdict != missed {
		t.Errorf("%+v", rows[1])
	}
	if rows[2].verdict != "" || rows[2].ratio != "0.50" {
		t.Errorf("%+v", rows[2])
	}
	if _, err := bareRows("room: nothing\n"); err == nil {
		t.Error("no error")
	}
}
