package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/schemas"
)

// Read your writes: whoever waits for the position that the source says after a
// COMMIT finds the change in Stytch, also on a database where nothing comes after
// it (hazard A19), for one organization and for all.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	o := harness.Example()
	o.Schema += harness.ExampleRows(10)
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0)
	p := w.Run(t)
	harness.Eventually(t, time.Minute, "every task runs", func() bool { return allRun(connectors(t, p)) })
	for i := range 12 {
		user := 1 + random.IntN(10)
		var team string
		if err := w.Pool.QueryRow(context.Background(), "SELECT team_id::text FROM team_members WHERE user_id = $1 LIMIT 1", user).Scan(&team); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("Written %d", i)
		w.Exec(t, "UPDATE users SET name = $2 WHERE id = $1", user, name)
		lsn, organization := position(t, w), ""
		if i%2 == 0 {
			organization = team
		}
		if i%3 == 0 {
			args := []string{"wait", "--lsn", lsn}
			if organization != "" {
				args = append(args, "--organization", organization)
			}
			if out, code := w.Command(t, args...); code != 0 || !strings.Contains(out, "applied up to "+lsn) {
				t.Fatalf("%v: exit %d: %s", args, code, out)
			}
		} else {
			body := call(t, p, "GET", "/applied?timeout=30s&lsn="+url.QueryEscape(lsn)+"&organization="+organization, http.StatusOK)
			if !strings.Contains(body, `{"applied":true,"evaluated":true,"waiting":0,`) {
				t.Fatalf("GET /applied: %s", body)
			}
		}
		if !written(w, name) {
			t.Fatalf("Stytch has no member called %q after the wait for %s", name, lsn)
		}
	}
	ahead := schemas.LSN(1 << 62).String()
	body := call(t, p, "GET", "/applied?timeout=300ms&lsn="+ahead, http.StatusGatewayTimeout)
	if !strings.Contains(body, `{"applied":false,"evaluated":false`) {
		t.Errorf("a position that is never reached: %s", body)
	}
	call(t, p, "GET", "/applied?lsn=soon", http.StatusBadRequest)
	call(t, p, "GET", "/applied?lsn=1/0&timeout=1h", http.StatusBadRequest)
}

func position(t *testing.T, w *harness.World) (lsn string) {
	t.Helper()
	if err := w.Pool.QueryRow(context.Background(), "SELECT pg_current_wal_lsn()").Scan(&lsn); err != nil {
		t.Fatal(err)
	}
	return lsn
}

// written looks for a member by name, in what the simulator has.
func written(w *harness.World, name string) bool {
	for o := range w.Simulator.Dump() {
		for _, m := range o.Members {
			if m.Member.Name == name {
				return true
			}
		}
	}
	return false
}
