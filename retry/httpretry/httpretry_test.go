package httpretry_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/retry/httpretry"
)

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := retry.Policy{MaxAttempts: 3, Backoff: time.Millisecond, MaxBackoff: time.Millisecond}
		date := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
		for _, c := range []struct {
			code  int
			after string
			again bool
			least time.Duration
		}{
			{200, "", false, 0}, {204, "5", false, 0}, {302, "", false, 0},
			{400, "", false, 0}, {404, "5", false, 0}, {499, "", false, 0},
			{408, "", true, 0}, {425, "", true, 0}, {429, "", true, 0}, {500, "", true, 0}, {599, "", true, 0},
			{429, "7", true, 7 * time.Second}, {503, date, true, 89 * time.Second},
			{503, "soon", true, 0}, {503, "-1", true, 0}, {503, "9999999999999", true, 0}, {503, "86400", true, time.Hour},
		} {
			res := &http.Response{StatusCode: c.code, Status: fmt.Sprint(c.code, " text"), Header: http.Header{"Retry-After": {c.after}}}
			err := httpretry.Status(res)
			var status *httpretry.StatusError
			if c.code < 400 {
				if err != nil {
					t.Errorf("%d: %v", c.code, err)
				}
				continue
			}
			if !errors.As(err, &status) || status.Code != c.code || err.Error() != "http: "+res.Status {
				t.Errorf("%d: %v", c.code, err)
			}
			pause, again, _ := policy.Next(1, err)
			if again != c.again || pause < c.least || pause > c.least+c.least/4+time.Second {
				t.Errorf("%d, %q: again %v after %v", c.code, c.after, again, pause)
			}
		}
	})
}

func ExampleStatus() {
	res := &http.Response{StatusCode: 404, Status: "404 Not Found"}
	err := httpretry.Status(res)
	fmt.Println(err, retry.IsNever(err))
	// Output: http: 404 Not Found true
}
