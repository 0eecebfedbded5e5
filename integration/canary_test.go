package integration_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/witness"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// Values that must never be seen outside of the databases and Stytch (invariant 8).
const (
	canaryEmail    = "canary.address@secret.example"
	canaryBroken   = "canary broken address"
	canaryName     = "Canary Person"
	canaryHash     = "$2a$10$CwTycUXWue0Th9StjUM0uJ8E0dTR8zvJOJWrmk0sUjOmm2G3Zk8e."
	canaryOddHash  = "canary-odd-hash"
	canarySecret   = "secret-test-canary-of-the-project"
	canaryPassword = "canary-of-the-database"
	canaryNumber   = "canary-no-number"
)

// A run with canaries in every place that holds personal data or a secret, through
// success, refusals, an evaluation that fails over a value (hazard C5), server faults
// and wrong credentials, at the most talkative log level.
func TestNothingSecretIsShown(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Secret = canarySecret
	o.Members = strings.Replace(o.Members, "u.name,", "u.name, jsonb_build_object('age', u.age::int) AS untrusted_metadata,", 1)
	o.Schema += fmt.Sprintf(`ALTER TABLE users ADD COLUMN age text;
INSERT INTO teams VALUES (1, 'Team', 'team'), (2, 'Bad slug', 'canary slug!');
INSERT INTO users (id, email, name, password, email_verified_at, age) VALUES
  (1, '%[1]s', '%[2]s', '%[3]s', now(), '41'), (2, '%[4]s', '%[2]s', '%[5]s', now(), NULL),
  (3, 'upper.%[1]s', '%[2]s', NULL, NULL, '%[6]s'), (4, upper('%[1]s'), '%[2]s', '%[3]s', now(), '1'),
  (5, 'fine.%[1]s', '%[2]s', '%[5]s', now(), '1');
INSERT INTO team_members (team_id, user_id) SELECT t, u FROM generate_series(1, 2) t, generate_series(1, 5) u;`,
		canaryEmail, canaryName, canaryHash, canaryBroken, canaryOddHash, canaryNumber)
	w := harness.New(t, o)
	source := canaryUser(t, w)
	w.Config = w.Variant(t, "canary", func(o *harness.Options) { o.Legacy = source })
	w.Simulator.Inject(simulator.Fault{Kind: simulator.Status, Status: 429, Count: 3})

	shown := map[string]string{}
	p := w.Run(t, "--log-level", "debug")
	w.CaughtUp(t, 2*time.Minute)
	w.Exec(t, "UPDATE users SET age = 'still "+canaryNumber+"' WHERE id = 3")
	w.Exec(t, "UPDATE users SET email = 'moved."+canaryEmail+"', password = NULL WHERE id = 1")
	w.Exec(t, "DELETE FROM team_members WHERE user_id = 5")
	w.CaughtUp(t, 2*time.Minute)
	for _, path := range []string{"/", "/status", "/metrics"} {
		shown["GET "+path] = p.Get(t, path)
	}
	for _, command := range []string{
		"check", "check -o json", "status", "status -o json", "parked list", "parked list -o json", "approve list", "parked retry", "backfill --table users",
	} {
		shown[command], _ = w.Command(t, strings.Fields(command)...)
	}
	p.Stop(t)
	shown["run"] = p.Log()
	shown["wrong ledger"], _ = w.Command(t, "run", "--log-level", "debug", "-c", w.Variant(t, "closed", func(o *harness.Options) {
		o.Legacy = strings.Replace(source, "127.0.0.1:", "127.0.0.1:1", 1)
	}))
	shown["unreadable"], _ = w.Command(t, "run", "-c", w.Variant(t, "unreadable", func(o *harness.Options) { o.Legacy = "postgres://" + canaryPassword + ":" + canaryPassword + "@[::1" }))
	shown["teardown"], _ = w.Command(t, "teardown")

	secrets := []string{canaryEmail, canaryBroken, canaryName, canaryHash, canaryHash[7:], canaryOddHash, canarySecret, canaryPassword, canaryNumber, "canary slug"}
	for where, text := range shown {
		if text == "" {
			t.Errorf("%s shows nothing: the test proves nothing", where)
		}
		for _, secret := range secrets {
			if i := strings.Index(strings.ToLower(text), strings.ToLower(secret)); i >= 0 {
				t.Errorf("%s shows the canary %q: …%s…", where, secret, text[max(0, i-120):min(len(text), i+80)])
			}
		}
	}
	for _, wake := range witness.Wakes(t, w.Brokers, w.Prefix) {
		for _, secret := range secrets {
			if strings.Contains(string(wake.Key)+string(wake.Value), secret) {
				t.Errorf("a wake-up holds the canary %q", secret)
			}
		}
	}
	for _, reason := range []consumers.Reason{consumers.ReasonInvalidEmail, consumers.ReasonEvaluation} {
		if !strings.Contains(shown["parked list"], string(reason)) {
			t.Errorf("nothing was parked as %s: the test proves little:\n%s", reason, shown["parked list"])
		}
	}
}

// canaryUser is a role with a password that must not be shown.
func canaryUser(t *testing.T, w *harness.World) string {
	t.Helper()
	role := "canary_" + w.Prefix
	w.Exec(t, "CREATE ROLE "+role+" SUPERUSER LOGIN PASSWORD '"+canaryPassword+"'")
	t.Cleanup(func() { dropRole(t, w, role) })
	u, err := url.Parse(w.Legacy)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, canaryPassword)
	return u.String()
}

func dropRole(t *testing.T, w *harness.World, role string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, w.Legacy)
	if err != nil {
		t.Logf("drop the canary's role: %v", err)
		return
	}
	defer conn.Close(ctx)
	for _, sql := range []string{"REASSIGN OWNED BY " + role + " TO postgres", "DROP OWNED BY " + role, "DROP ROLE " + role} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Logf("drop the canary's role: %v", err)
		}
	}
}
