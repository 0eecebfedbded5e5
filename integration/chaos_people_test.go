package integration_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/internal/redact"
)

// probes are organizations of one member each, which nobody but the test changes.
const (
	probes    = 6
	probeRows = `
INSERT INTO "Team" (id, name, slug) SELECT 'probe-' || i, 'Probe ' || i, 'probe-' || i FROM generate_series(1, 6) i;
INSERT INTO "User" (id, email, name) SELECT 'probe-' || i, 'probe' || i || '@probe.example', 'Probe' FROM generate_series(1, 6) i;
INSERT INTO "TeamMember" (id, "teamId", "userId") SELECT 'probe-' || i, 'probe-' || i, 'probe-' || i FROM generate_series(1, 6) i;`
)

// revisedSchema gives each row a number that grows with each of its changes, in the
// order of their commits: the row's lock is held from the number to the commit.
const revisedSchema = `
CREATE SEQUENCE rev;
ALTER TABLE "Team" ADD COLUMN rev bigint NOT NULL DEFAULT nextval('rev');
ALTER TABLE "User" ADD COLUMN rev bigint NOT NULL DEFAULT nextval('rev'), ADD COLUMN phone text;
ALTER TABLE "TeamMember" ADD COLUMN rev bigint NOT NULL DEFAULT nextval('rev');
CREATE FUNCTION rev() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.rev := nextval('rev'); RETURN NEW; END $$;
CREATE TRIGGER rev BEFORE UPDATE ON "Team" FOR EACH ROW EXECUTE FUNCTION rev();
CREATE TRIGGER rev BEFORE UPDATE ON "User" FOR EACH ROW EXECUTE FUNCTION rev();
CREATE TRIGGER rev BEFORE UPDATE ON "TeamMember" FOR EACH ROW EXECUTE FUNCTION rev();`

// revised is Boxy with that number in the metadata of organizations and members, so
// that the calls to Stytch tell which of a row's states they carry.
func revised() harness.Options {
	o := harness.Boxy()
	o.Organizations = `  select: |
    SELECT t.id AS organization_external_id, t.name AS organization_name, t.slug AS organization_slug,
           jsonb_build_object('default_role', lower(t."defaultRole"::text), 'domain', t.domain, 'rev', t.rev) AS trusted_metadata
    FROM "Team" t
  routes:
    'public."Team"': {organization_external_id: id}`
	o.Members = `  temporary_email_domain: swap.example.com
  select: |
    SELECT m."teamId" AS organization_external_id, u.id AS external_id, u.email AS email_address, u.name,
           ARRAY[lower(m.role::text)] AS roles, u.password AS password_hash, u."emailVerified" IS NOT NULL AS email_verified,
           u.phone AS mfa_phone_number, jsonb_build_object('rev', greatest(u.rev, m.rev)) AS trusted_metadata,
           jsonb_build_object('image', u.image) AS untrusted_metadata
    FROM "TeamMember" m JOIN "User" u ON u.id = m."userId"
  routes:
    'public."User"': {external_id: id}
    'public."TeamMember"': {organization_external_id: teamId, external_id: userId}`
	return o
}

// sideWork is what the demo's people do not do: memberships move between
// organizations, members of one organization exchange addresses, phones and slugs,
// and the fields that the demo never changes change. A transaction each. @user and
// @other are users whose address no other one has in another case, @team and @second
// are teams that Stytch takes, @n is a number that grows.
var sideWork = [][]string{
	{`UPDATE "TeamMember" SET "teamId" = @team WHERE id = (SELECT id FROM "TeamMember" WHERE "userId" = @user AND "teamId" <> @team LIMIT 1)`},
	{`UPDATE "User" SET name = NULL WHERE id = @user`},
	{`UPDATE "User" SET "emailVerified" = coalesce("emailVerified", now()) WHERE id = @user`}, // withdrawn, a hash would stay
	{`UPDATE "User" SET password = NULL WHERE id = @user`},
	{`UPDATE "User" SET image = CASE WHEN image IS NULL THEN 'https://images.example/' || @n::bigint END WHERE id = @user`},
	{`UPDATE "User" SET phone = '+1415' || (5550000 + @n::bigint) WHERE id = @user`},
	{`UPDATE "User" SET phone = NULL WHERE id = @user`},
	{`UPDATE "User" u SET phone = o.phone FROM "User" o WHERE (u.id, o.id) IN ((@user, @other), (@other, @user))`},
	{`UPDATE "Team" SET domain = CASE WHEN domain IS NULL THEN 'd' || @n::bigint || '.example' END WHERE id = @team`},
	{`UPDATE "Team" SET "defaultRole" = CASE "defaultRole" WHEN 'MEMBER' THEN 'ADMIN'::"Role" ELSE 'MEMBER' END WHERE id = @team`},
	{ // a unique column; nobody sees what is between
		`UPDATE "User" u SET email = '~' || o.email FROM "User" o WHERE (u.id, o.id) IN ((@user, @other), (@other, @user))`,
		`UPDATE "User" SET email = substr(email, 2) WHERE id IN (@user, @other) AND email LIKE '~%'`,
	},
	{
		`UPDATE "Team" u SET slug = '~' || o.slug FROM "Team" o WHERE (u.id, o.id) IN ((@team, @second), (@second, @team))`,
		`UPDATE "Team" SET slug = substr(slug, 2) WHERE id IN (@team, @second) AND slug LIKE '~%'`,
	},
}

// workSide does sideWork beside the demo's people until stop is called, which returns
// the number of transactions.
func workSide(t *testing.T, w *harness.Demo, seed uint64, perSecond int) (stop func() int64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 2))
	users := slices.DeleteFunc(slices.Clone(w.Legacy.Users), func(id string) bool {
		return slices.Index(w.Legacy.Users, id)%500 <= 1 // those with a twin
	})
	teams := w.Legacy.Teams[2:] // the first is huge, the second refused
	end, ended := make(chan struct{}), make(chan int64, 1)
	go func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		var done int64
		for n := int64(1); ; n++ {
			select {
			case <-end:
				ended <- done
				return
			case <-tick.C:
			}
			err := pgx.BeginFunc(context.Background(), w.Pool, func(tx pgx.Tx) error {
				return sideStep(tx, sideWork[random.IntN(len(sideWork))], pgx.NamedArgs{
					"user": users[random.IntN(len(users))], "team": teams[random.IntN(len(teams))], "second": teams[random.IntN(len(teams))],
					"users": users, "n": n,
				})
			})
			switch state := redact.SQLState(err); {
			case err == nil:
				done++
			case slices.Contains([]string{"23503", "23505", "55P03", "40P01"}, state): // gone, or taken; the demo's people are at it
			default:
				t.Errorf("side work: %v", err)
			}
		}
	}()
	stop = sync.OnceValue(func() int64 { close(end); return <-ended })
	t.Cleanup(func() { stop() })
	return stop
}

// sideStep runs one transaction. It waits for nobody's locks for long: whoever does
// while it holds some may be waited for.
func sideStep(tx pgx.Tx, statements []string, args pgx.NamedArgs) error {
	ctx := context.Background()
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '100ms'"); err != nil {
		return err
	}
	var other *string // of the same organization, where there is one
	err := tx.QueryRow(ctx, `SELECT (SELECT b."userId" FROM "TeamMember" a JOIN "TeamMember" b USING ("teamId")
		WHERE a."userId" = @user AND b."userId" <> @user AND b."userId" = ANY (@users) ORDER BY md5(b.id || @n::bigint) LIMIT 1)`, args).Scan(&other)
	if err != nil {
		return err
	}
	args["other"] = other
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql, args); err != nil {
			return err
		}
	}
	return nil
}
