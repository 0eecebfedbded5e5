package script

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
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
		"PASSWORD": password(ts, s.world.Legacy),
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

// password is that of a database's URL.
func password(ts *testscript.TestScript, raw string) string {
	u, err := url.Parse(raw)
	ts.Check(err)
	p, _ := u.User.Password()
	return cmp.Or(p, "no password")
}

// role gives a role of the legacy system a password, and LEGACY_AS_ROLE its URL.
func role(ts *testscript.TestScript, s *stage, args []string) {
	u, err := url.Parse(s.world.Legacy)
	ts.Check(err)
	u.User = url.UserPassword(args[0], "hidden")
	ts.Setenv("LEGACY_AS_ROLE", u.String())
	s.world.Exec(s, "ALTER ROLE "+args[0]+" PASSWORD 'hidden'")
	s.Cleanup(func() {
		s.world.Exec(s, "DROP OWNED BY "+args[0])
		s.world.Exec(s, "DROP ROLE "+args[0])
	})
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
	args[2] = strings.ReplaceAll(args[2], `\n`, "\n") // a script's line is one line
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

// position is where the legacy system's log stands after the last COMMIT.
func position(ts *testscript.TestScript, s *stage, args []string) {
	var lsn string
	ts.Check(s.world.Pool.QueryRow(context.Background(), "SELECT pg_current_wal_lsn()").Scan(&lsn))
	ts.Setenv(args[0], lsn)
}

// slots wants a number of replication slots on the legacy database.
func slots(ts *testscript.TestScript, s *stage, args []string) {
	var n int
	ts.Check(s.world.Pool.QueryRow(context.Background(), "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()").Scan(&n))
	if want := code(ts, args[0]); n != want {
		ts.Fatalf("the legacy database has %d slots, want %d", n, want)
	}
}

// lose deletes the members with a key in Stytch, behind the pipeline's back.
func lose(ts *testscript.TestScript, s *stage, args []string) {
	lost := 0
	for o := range s.world.Simulator.Dump() {
		for _, m := range o.Members {
			if m.Member.ExternalID == args[0] {
				ts.Check(s.world.Simulator.Behind().DeleteMember(m.Member.MemberID))
				lost++
			}
		}
	}
	if lost == 0 {
		ts.Fatalf("Stytch has no member with external id %s", args[0])
	}
}

// keys writes an Ed25519 pair as NAME.key and NAME.pub, in PEM.
func keys(ts *testscript.TestScript, _ *stage, args []string) {
	public, private, err := ed25519.GenerateKey(nil)
	ts.Check(err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	ts.Check(err)
	rawPublic, err := x509.MarshalPKIXPublicKey(public)
	ts.Check(err)
	for end, block := range map[string]*pem.Block{".key": {Type: "PRIVATE KEY", Bytes: raw}, ".pub": {Type: "PUBLIC KEY", Bytes: rawPublic}} {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+end), pem.EncodeToMemory(block), 0o600))
	}
}
