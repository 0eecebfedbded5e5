package discover_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/pipeline/discover"
)

// TestFigures: the figures that decide a migration, counted by hand beforehand.
func TestFigures(t *testing.T) {
	t.Parallel()
	b := newBundle(t, read(t, "boxyhq.sql"))
	b.exec(`INSERT INTO "Team" SELECT 's' || i, 'S', s FROM unnest(ARRAY['x', '---', 'okay', 'Ok_~.-1', 'spa ce', 'ümlaut', '']) WITH ORDINALITY v (s, i);
		INSERT INTO "User" (id, name, email, password) VALUES ('e1', 'x', '', 'md5'), ('e2', 'x', ' ', '$argon2d$v=19$x'), ('e3', 'x', 'CANARY1@corp.example', '')`)
	b.discover(b.source, discover.Options{})
	f := b.Figures
	for what, c := range map[string]struct {
		got  *discover.Count
		want int64
	}{
		"tenants": {f.Tenants, 9}, "users": {f.Users, 6}, "memberships": {f.Memberships, 3}, "without a tenant": {f.NoTenant, 4},
		"without an address": {f.NoEmail, 2}, "in other case": {f.Twins, 4}, "unverified": {f.Unverified, 2},
		"refused slugs": {f.BadSlugs, 6}, // x, ---, spa ce, ümlaut, the empty one, canary ltd
		"shared slugs":  {f.SharedSlugs, 0},
	} {
		if c.got == nil || c.got.Unknown != "" || c.got.N != c.want {
			t.Errorf("%s: %v, want %d", what, c.got, c.want)
		}
	}
	if got := fmt.Sprint(f.Hashes); got != "[{bcrypt 2} {none 2} {argon2d 1} {unknown 1}]" {
		t.Errorf("hashes %s", got)
	}
	if got := fmt.Sprint(f.Roles); got != "[{MEMBER 2} {OWNER 1} {ADMIN 0}]" {
		t.Errorf("roles %s", got)
	}
}

// TestUncounted: large tables are not counted to the end, and the proposal is made all
// the same.
func TestUncounted(t *testing.T) {
	t.Parallel()
	b := newBundle(t, read(t, "mattermost.sql"))
	b.exec(`INSERT INTO users (id, email, deleteat, password) SELECT 'x' || i, 'canary' || i || '@corp.example', 0, '$2a$10$canary' FROM generate_series(10, 100000) i;
		INSERT INTO teammembers SELECT 't1', 'x' || i, 'canary_lead', 0 FROM generate_series(10, 100000) i; ANALYZE`)
	b.discover(b.source, discover.Options{Timeout: time.Millisecond})
	for what, c := range map[string]*discover.Count{"users": b.Figures.Users, "memberships": b.Figures.Memberships, "twins": b.Figures.Twins} {
		if c == nil || c.Unknown != "not counted in time (1ms)" {
			t.Errorf("%s: %v", what, c)
		}
	}
	if b.Figures.HashesUnknown == "" || b.Figures.RolesUnknown == "" || !strings.Contains(b.reasons, "by the catalogue's estimate: about 99") {
		t.Errorf("hashes or roles were counted in 1ms, or memberships not estimated:\n%s", b.reasons)
	}
}

// TestCatalogueOnly: no statement reads a table, the right ones come first all the same,
// and the proposal is accepted, without what only rows say.
func TestCatalogueOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t, read(t, "betterauth.sql"))
	scans := "SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::text FROM pg_stat_user_tables"
	b.exec("SELECT pg_stat_force_next_flush()") // what the schema's own statements scanned
	b.exec("SELECT pg_stat_reset()")
	b.discover(b.source, discover.Options{CatalogueOnly: true})
	b.until("SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = 'backstitch-init' AND datname = current_database())") // then its figures are there
	var got string
	if err := b.admin.QueryRow(t.Context(), scans).Scan(&got); err != nil || got != "0" {
		t.Errorf("%s scans of tables, %v", got, err)
	}
	if len(b.Memberships) == 0 || b.Memberships[0].Table.String() != "public.member" || b.Figures.Users.String() != "not counted" {
		t.Errorf("another membership comes first than public.member, or users are counted: %v", b.Figures.Users)
	}
	b.exec("UPDATE member SET role = 'admin'")
	b.Roles = []string{"admin"} // of the project
	b.runSetup()
	b.accepted(b.yaml)
}

// TestLabels: an enumeration's roles are known without a row, and no row is said to
// have none.
func TestLabels(t *testing.T) {
	t.Parallel()
	b := newBundle(t, read(t, "boxyhq.sql"))
	b.discover(b.source, discover.Options{CatalogueOnly: true})
	if got := strings.Join(b.Roles, " "); got != "admin member owner" {
		t.Errorf("roles %s", got)
	}
	if !strings.Contains(b.reasons, "\n    ADMIN\n    OWNER\n    MEMBER\n") {
		t.Errorf("the labels are missing, or have a count:\n%s", b.reasons)
	}
}

// TestUnreadable: a role that may read no row still gets a proposal.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	b := newBundle(t, read(t, "supabase_memberships.sql"))
	b.exec("CREATE ROLE " + b.role + " LOGIN PASSWORD 'hidden'")
	b.Cleanup(func() { b.exec("DROP ROLE " + b.role) })
	b.discover(b.as(), discover.Options{})
	if len(b.Memberships) == 0 || b.Memberships[0].Table.String() != "public.memberships" {
		t.Fatalf("memberships: %v", b.Memberships)
	}
	if c := b.Figures.Users; c == nil || c.Unknown != "not counted: the role may not read all its rows" {
		t.Errorf("users: %v", c)
	}
}

// TestPersonalRoles: a column of roles that holds something else is not shown.
func TestPersonalRoles(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]string{
		"addresses": "'canary' || i % 5 || '@corp.example'", // few, but no names of roles
		"names":     "'Canary ' || i",                       // like names of roles, but many
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, `CREATE TABLE tenants (id int PRIMARY KEY, name text); CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE);
				CREATE TABLE members (tenant_id int, user_id int, role text, status text, PRIMARY KEY (tenant_id, user_id));
				INSERT INTO members SELECT 1, i, `+rows+`, `+rows+` FROM generate_series(1, 30) i`)
			b.discover(b.source, discover.Options{})
			if strings.Contains(strings.ToLower(b.yaml+b.reasons), "canary") {
				t.Errorf("a value is shown (invariant 8):\n%s\n%s", b.yaml, b.reasons)
			}
			if len(b.Roles) != 0 || b.Figures.RolesUnknown == "" {
				t.Errorf("roles %v are named, or nothing says why not", b.Roles)
			}
		})
	}
}
