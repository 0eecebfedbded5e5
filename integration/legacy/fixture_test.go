package legacy_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/integration/harness"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// password is what every hash below was made of.
const password = "correct horse"

// hashes by the name that generators call them.
var hashes = []string{
	"$BCRYPT", "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
	"$BETTERAUTH", "00112233445566778899aabbccddeeff:13af89ff6a88bb0fb3277e79ba724c6c0731b15919ca892969d63abd1534b867d110179e3bc8af39995ede0f9b2ac14b2b97573df10ba3802c498dbeb61e4f64",
	"$MATTERMOST", "$pbkdf2$f=SHA256,w=1000,l=32$AAECAwQFBgcICQoLDA0ODw$yRTMTwbMbo9G0VfjobWqerzuuxe7BETNTErBbKKumGQ",
	"$DJANGO", "pbkdf2_sha256$1000$seasalt12$LJ9fn3pQS/rsdXPFQk/Wuje22q/pjlmcegWRwgq7lw8=",
	"$ARGON2ID", argon2id(),
	"$FIREBASE", "$fbscrypt$v=1,n=14,r=8,p=1,ss=c2VwYXJhdG9y,sk=c2lnbmVy$c2FsdA==$a2V5",
}

func argon2id() string {
	salt := []byte("0123456789abcdef")
	text := base64.RawStdEncoding.EncodeToString
	return "$argon2id$v=19$m=64,t=1,p=2$" + text(salt) + "$" + text(argon2.IDKey([]byte(password), salt, 1, 64, 2, 32))
}

// fixture is a schema, with what must come of it.
type fixture struct {
	name string
	// schema is the file of pipeline/discover's tests that creates the tables.
	schema string
	// tenant, user and membership are the tables that init must rank first, as it prints them.
	tenant, user, membership string
	roles                    []string // of the Stytch project
	// foreseen are the codes of check's findings about the traps.
	foreseen []string
	// idsStay: Stytch, which does not say, keeps the external ids of what was deleted taken.
	idsStay       bool
	before, after state
	// changes are transactions; the process is killed among them. after is what they
	// come to.
	changes []change
	// canaries are members, as in traps, whose passwords must authenticate.
	canaries []string
	// same are members who must be the same objects in Stytch before and after.
	same []string
}

// change is a transaction of the legacy application.
type change struct {
	what, sql string
	applied   bool // before the next one begins
}

// state is what must be there once everything is applied, besides that every entity is
// as the mapping over the legacy database says.
type state struct {
	traps []trap
	// parked are the entities that only a person can help, with the reason, blocked
	// those behind them. Of "a or b" it is one of both, whichever came second.
	parked, blocked []string
}

// trap is a fact that the mapping, wrongly written or wrongly followed, would get wrong.
type trap struct {
	why string
	// key is "organization" or "organization/member", of the mapping.
	key string
	// field of Stytch; "" for whether the entity is there, "password" for the hash's type.
	field, want string
}

// The values of a field "".
const (
	there = "there"
	gone  = "gone"
)

// migration is a fixture at work.
type migration struct {
	*testing.T
	fixture
	world *harness.World
	dir   string
}

func newMigration(t *testing.T, f fixture) *migration {
	t.Helper()
	m := &migration{T: t, fixture: f, dir: t.TempDir()}
	m.world = harness.New(t, harness.Options{Simulator: simulator.Options{
		SearchLimit: -1, JournalSize: 1 << 16, Roles: f.roles, KeepExternalIDOnDelete: f.idsStay, KeepOrganizationExternalIDOnDelete: f.idsStay,
	}})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	m.world.Exec(t, m.read("..", "..", "pipeline", "discover", "testdata", f.schema+".sql"))
	m.world.Exec(t, truncate) // the rows there are another test's
	rows := strings.NewReplacer(append([]string{"$SEED", strconv.FormatUint(seed, 10)}, hashes...)...)
	m.world.Exec(t, rows.Replace(pick+m.read("testdata", f.name+".sql")))
	m.world.Config = filepath.Join(m.dir, f.name+".yaml")
	m.write(f.name+".yaml", m.local(m.read("testdata", f.name+".yaml")))
	return m
}

// pick gives the generators a number below n that the seed decides, and nothing else.
const pick = `CREATE OR REPLACE FUNCTION pg_temp.pick(what text, i bigint, n int) RETURNS int LANGUAGE sql IMMUTABLE
	AS $$ SELECT (abs(hashtext(what || i || '$SEED')::bigint) % n)::int $$;
`

const truncate = `DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || string_agg(c.oid::regclass::text, ', ') FROM pg_class c
	JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname !~ '^pg_|^information_schema'); END $$`

func (m *migration) read(path ...string) string {
	m.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		m.Fatal(err)
	}
	return string(b)
}

func (m *migration) write(name, content string) {
	m.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(content), 0o600); err != nil {
		m.Fatal(err)
	}
}

// local puts this test's servers and name into a file that reads them from the environment.
func (m *migration) local(yaml string) string {
	return strings.NewReplacer(
		"name: "+m.name+"\n", "name: "+m.world.Prefix+"\n", "source:\n", "source:\n  heartbeat: 1s\n",
		"${LEGACY_DATABASE_URL}", m.world.Legacy, "${LEDGER_DATABASE_URL}", m.world.Ledger, "${KAFKA_BROKERS}", strings.Join(m.world.Brokers, `", "`),
		"${SCHEMA_REGISTRY_URL}", m.world.Registry, "${STYTCH_PROJECT_ID}", harness.ProjectID, "${STYTCH_SECRET}", harness.Secret, "${STYTCH_URL}", m.world.StytchURL,
	).Replace(yaml)
}

// caughtUp runs the pipeline to its end, which it reaches with 3 while something waits
// for a person.
func (m *migration) caughtUp(s state) {
	m.Helper()
	want := 0
	if len(s.parked)+len(s.blocked) > 0 {
		want = 3
	}
	p := m.world.Run(m, "--until-caught-up")
	if code := p.Wait(m, 6*time.Minute); code != want {
		parked, _ := m.world.Command(m, "parked", "list")
		m.Fatalf("run --until-caught-up exits with %d, want %d:\n%s", code, want, parked)
	}
}

// judge compares all of Stytch with the mapping over the legacy database, what is set
// aside with what must be, and looks at each trap.
func (m *migration) judge(s state) {
	m.Helper()
	r := m.world.Clean(m)
	m.aside("parked", s.parked, r.Parked)
	m.aside("blocked", s.blocked, r.Blocked)
	if len(r.Awaiting) > 0 {
		m.Errorf("%d deletes wait for consent", len(r.Awaiting))
	}
	seen := m.seen()
	for _, t := range s.traps {
		got, what := gone, t.key
		if fields, ok := seen[external(t.key)]; ok {
			if got = there; t.field != "" {
				got, what = fmt.Sprint(fields[t.field]), t.field+" of "+t.key
			}
		}
		if got != t.want {
			m.Errorf("%s: %s is %s, want %s", t.why, what, got, t.want)
		}
	}
}

// external is a key as Stytch has it.
func external(key string) string {
	org, member, is := strings.Cut(key, "/")
	if !is {
		return stytch.ExternalID("", org)
	}
	return stytch.ExternalID("", org) + "/" + stytch.ExternalID("", member)
}
