package script

import (
	"context"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/backstitch/backstitch/integration/harness"
)

// makeWorld makes servers of the script's own, and acme.yaml, which names them.
func makeWorld(ts *testscript.TestScript, s *stage, args []string) {
	var o harness.Options
	switch args[0] {
	case "empty":
	case "example":
		o = harness.Example()
		if len(args) == 2 {
			teams, err := strconv.Atoi(args[1])
			ts.Check(err)
			o.Schema += harness.ExampleRows(teams)
		}
	default:
		ts.Fatalf("want example or empty")
	}
	s.world = harness.New(s, o)
	s.mask = newMask(ts, s.world, s.dir)
	for name, value := range map[string]string{
		"LEGACY": s.world.Legacy, "LEDGER": s.world.Ledger, "BROKERS": strings.Join(s.world.Brokers, ","), "REGISTRY": s.world.Registry,
		"STYTCH": s.world.StytchURL, "PROJECT_ID": harness.ProjectID, "SECRET": harness.Secret, "NAME": s.world.Prefix,
		"LEGACY_HOST": host(ts, s.world.Legacy),
	} {
		ts.Setenv(name, value)
	}
	if args[0] == "empty" {
		return
	}
	text, err := os.ReadFile(s.world.Config)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("acme.yaml"), text, 0o600))
}

// host is the part of a URL that names a server.
func host(ts *testscript.TestScript, raw string) string {
	u, err := url.Parse(raw)
	ts.Check(err)
	return u.Host
}

func runSQL(ts *testscript.TestScript, s *stage, args []string) {
	pool := s.world.Pool
	if args[0] == "ledger" {
		pool = s.world.LedgerPool
	}
	sql := args[1]
	if strings.HasSuffix(sql, ".sql") {
		sql = ts.ReadFile(sql)
	}
	conn, err := pool.Acquire(context.Background())
	ts.Check(err)
	defer conn.Release()
	// several statements, as psql takes them
	_, err = conn.Conn().PgConn().Exec(context.Background(), sql).ReadAll()
	ts.Check(err)
}

func edit(ts *testscript.TestScript, _ *stage, args []string) {
	text := ts.ReadFile(args[0])
	if n := strings.Count(text, args[1]); n != 1 {
		ts.Fatalf("%s has %q %d times, want once", args[0], args[1], n)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}

func inStytch(ts *testscript.TestScript, s *stage, args []string) {
	state := s.world.Simulator.State()
	if got, want := []int{state.Organizations, state.Members["active"]}, []int{code(ts, args[0]), code(ts, args[1])}; got[0] != want[0] || got[1] != want[1] {
		ts.Fatalf("%d organizations and %d members are in Stytch, want %d and %d", got[0], got[1], want[0], want[1])
	}
}
