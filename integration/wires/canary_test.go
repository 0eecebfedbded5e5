package wires_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// Personal data of the legacy rows. None of it may be seen outside of the
// databases, the source topics and Stytch (invariant 8).
const (
	canaryEmail   = "canary.address@secret.example"
	canaryShared  = "canary.shared@secret.example"
	canaryBroken  = "canary broken address"
	canaryName    = "Canary Person"
	canaryTeam    = "Canary Holding"
	canaryHash    = "$2a$10$CwTycUXWue0Th9StjUM0uJ8E0dTR8zvJOJWrmk0sUjOmm2G3Zk8e."
	canaryOddHash = "canary-odd-hash"
	canaryPhone   = "+14155550142"
	canaryBadFone = "canary 555 0142"
	canaryNumber  = "canary-no-number"
	canaryDomain  = "canary-refused-domain.example"
)

// Secrets of the configuration; the letters that URLs escape are between them.
const (
	canaryStytch   = "secret-test-canary-of-the-project"
	canaryDatabase = "canary-of-the-database"
	canaryBroker   = "canary-of-the-broker"
	canaryRegistry = "canary-of-the-registry"
	canaryToken    = "canary-of-the-admin-api"
	canaryWrong    = "canary-that-is-wrong"
)

var canaries = []string{
	canaryEmail, canaryShared, canaryBroken, canaryName, canaryTeam, canaryHash, canaryHash[7:], canaryOddHash, canaryPhone, canaryBadFone,
	canaryNumber, canaryDomain, "canary slug", canaryStytch, canaryDatabase, canaryBroker, canaryRegistry, canaryToken, canaryWrong,
}

// TestNothingSecretIsShown runs the pipeline at its most talkative with canaries in
// every place that holds personal data or a secret, through success, refusals, an
// evaluation that fails over a value (hazard C5), server faults and wrong
// credentials, and searches everything that it shows.
func TestNothingSecretIsShown(t *testing.T) {
	t.Parallel()
	c := newCage(t)
	c.Simulator.Inject(simulator.Fault{Kind: simulator.Status, Status: 429, Count: 3})
	p := c.Run(t, "--log-level", "debug")
	c.CaughtUp(t, time.Minute)
	c.look(t, p)
	c.Exec(t, "UPDATE users SET age = 'still "+canaryNumber+"' WHERE id = 3")
	c.Exec(t, "UPDATE users SET email = 'moved."+canaryEmail+"', password = NULL WHERE id = 1")
	c.Exec(t, "DELETE FROM team_members WHERE user_id = 5")
	c.CaughtUp(t, time.Minute)
	c.look(t, p)
	for _, command := range []string{
		"check", "check -o json", "status", "status -o json", "lag", "lag -o json", "parked list", "parked list -o json", "parked show 4 --organization 1", "approve list",
		"lag", "lag -o json", "wait --lsn 0/1", "replay apply --to-earliest --dry-run", "replay transform --to-earliest --dry-run",
		"replay apply --to-earliest --force --yes", "parked retry", "backfill --table users",
	} {
		c.shown[command], _ = c.Command(t, strings.Fields(command)...)
	}
	c.CaughtUp(t, time.Minute)
	c.look(t, p)
	p.Stop(t)
	c.shown["run"] = p.Log()
	for name, change := range map[string][2]string{
		"wrong database password": {c.password("database"), canaryWrong},
		"wrong broker password":   {c.password("broker"), canaryWrong},
		"wrong registry password": {c.password("registry"), canaryWrong},
		"wrong project's secret":  {c.password("stytch"), canaryWrong},
		"unreadable URL":          {"postgres://", "postgres://" + canaryWrong + "@[::1:"},
		"nobody there":            {"@127.0.0.1:", "@127.0.0.2:"},
		"short token":             {c.password("token"), canaryWrong[:8]},
	} {
		config := filepath.Join(t.TempDir(), "wrong.yaml")
		write(t, config, strings.Replace(read(t, c.Config), change[0], change[1], 1))
		c.shown["check, "+name], _ = c.Command(t, "check", "-c", config)
		wrong := c.Start(t, "run", "--log-level", "debug", "--until-caught-up", "-c", config)
		c.ends(t, wrong)
		c.shown["run, "+name] = wrong.Log()
	}
	c.shown["teardown"], _ = c.Command(t, "teardown")
	c.wakes(t)
	c.search(t)
	for _, reason := range []consumers.Reason{consumers.ReasonInvalidEmail, consumers.ReasonEvaluation, consumers.ReasonDuplicate} {
		if !strings.Contains(c.shown["parked list"], string(reason)) {
			t.Errorf("nothing was parked as %s: the test proves little:\n%s", reason, c.shown["parked list"])
		}
	}
}

// cage is a world full of canaries, and what it has shown.
type cage struct {
	*harness.World
	authority *testenv.Authority
	secrets   string // directory
	shown     map[string]string
}

func newCage(t *testing.T) *cage {
	t.Helper()
	c := &cage{authority: testenv.NewAuthority(t), secrets: t.TempDir(), shown: map[string]string{}}
	pair := c.authority.Issue(t, "127.0.0.1", "localhost")
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(pair.TLS(t)), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", user, canaryBroker))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	o := harness.Example()
	o.Brokers, o.Secret = cluster.ListenAddrs(), canaryStytch
	o.Members = strings.Replace(o.Members, "u.name,", "u.name, jsonb_build_object('age', u.age::int) AS untrusted_metadata, u.phone AS mfa_phone_number,", 1)
	o.Schema += canaryRows
	c.World = harness.New(t, o)
	c.Config = c.rewire(t, pair)
	return c
}

var canaryRows = fmt.Sprintf(`ALTER TABLE users ADD COLUMN age text, ADD COLUMN phone text;
INSERT INTO teams VALUES (1, '%[7]s', 'team'), (2, 'Bad slug', 'canary slug!');
INSERT INTO users (id, email, name, password, email_verified_at, age, phone) VALUES
  (1, '%[1]s', '%[2]s', '%[3]s', now(), '41', '%[8]s'), (2, '%[4]s', '%[2]s', '%[5]s', now(), NULL, NULL),
  (3, 'upper.%[1]s', '%[2]s', NULL, NULL, '%[6]s', NULL), (4, upper('%[1]s'), '%[2]s', '%[3]s', now(), '1', NULL),
  (5, 'fine.%[1]s', '%[2]s', '%[5]s', now(), '1', '%[9]s'), (6, '%[10]s', '%[2]s', NULL, NULL, '1', '%[8]s'),
  (7, '%[10]s', '%[2]s', NULL, NULL, '1', NULL), (8, 'someone@%[11]s', '%[2]s', NULL, NULL, '1', NULL);
INSERT INTO team_members (team_id, user_id) SELECT t, u FROM generate_series(1, 2) t, generate_series(1, 8) u;`,
	canaryEmail, canaryName, canaryHash, canaryBroken, canaryOddHash, canaryNumber, canaryTeam, canaryPhone, canaryBadFone, canaryShared, canaryDomain)

// password is how the configuration refers to a secret.
func (c *cage) password(name string) string { return "${file:" + filepath.Join(c.secrets, name) + "}" }

// rewire puts canaries where the configuration takes secrets.
func (c *cage) rewire(t *testing.T, pair testenv.KeyPair) string {
	t.Helper()
	for name, secret := range map[string]string{"database": canaryDatabase, "broker": canaryBroker, "registry": canaryRegistry, "stytch": canaryStytch, "token": canaryToken} {
		write(t, filepath.Join(c.secrets, name), secret+"\n")
	}
	role := "canary_" + c.Prefix
	c.Exec(t, "CREATE ROLE "+role+" SUPERUSER LOGIN PASSWORD '"+canaryDatabase+"'")
	t.Cleanup(func() { c.dropRole(t, role) })
	registry := strings.TrimPrefix(registryBehindTLS(t, c.authority, canaryRegistry), "https://")
	text := read(t, c.Config)
	login := regexp.MustCompile(`postgres://[^@]*@`)
	for old, new := range map[string]string{
		"  registry: " + c.Registry: fmt.Sprintf("  registry: https://%s:%s@%s\n  registry_tls: {ca: %q}\n  tls: {ca: %q}\n  sasl: {mechanism: SCRAM-SHA-256, username: %s, password: %q}",
			user, c.password("registry"), registry, c.authority.CA, c.authority.CA, user, c.password("broker")),
		"secret: " + canaryStytch: fmt.Sprintf("secret: %q", c.password("stytch")),
		`{listen: "127.0.0.1:0"}`: fmt.Sprintf(`{listen: "127.0.0.1:0", token: %q, tls: {cert: %q, key: %q}}`, c.password("token"), pair.Cert, pair.Key),
	} {
		if !strings.Contains(text, old) {
			t.Fatalf("the configuration has no %s", old)
		}
		text = strings.Replace(text, old, new, 1)
	}
	text = login.ReplaceAllString(text, "postgres://"+role+":"+strings.ReplaceAll(c.password("database"), "$", "$$")+"@")
	path := filepath.Join(c.secrets, "canary.yaml")
	write(t, path, text)
	return path
}

// ends waits for a run that cannot work; one that stands by, or tries again for
// ever, is told to end.
func (c *cage) ends(t *testing.T, p *harness.Process) {
	t.Helper()
	select {
	case <-p.Ended():
	case <-time.After(3 * time.Second):
		p.Signal(syscall.SIGTERM)
		p.Wait(t, 40*time.Second)
	}
}

// search looks for every canary in everything that was shown.
func (c *cage) search(t *testing.T) {
	t.Helper()
	for where, text := range c.shown {
		if text == "" {
			t.Errorf("%s shows nothing: the test proves nothing", where)
		}
		for _, canary := range canaries {
			for _, form := range []string{canary, url.QueryEscape(canary), url.PathEscape(canary)} {
				if i := strings.Index(strings.ToLower(text), strings.ToLower(form)); i >= 0 {
					t.Errorf("%s shows the canary %q: …%s…", where, canary, text[max(0, i-120):min(len(text), i+80)])
					break
				}
			}
		}
	}
	var names []string
	for where := range c.shown {
		names = append(names, where)
	}
	slices.Sort(names)
	t.Logf("searched: %s", strings.Join(names, ", "))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
