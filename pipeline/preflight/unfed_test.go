package preflight

import (
	"reflect"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/internal/redact"
)

// Who is left out is counted by every kind of route, and shown by keys of which what may
// be personal is a digest (invariant 8).
func TestUnfed(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.exec(`CREATE TABLE grants (email text, scope int, user_id int, PRIMARY KEY (email, scope));
		INSERT INTO users SELECT i, 'u' || i || '@example.com', 'U', NULL FROM generate_series(10, 16) i;
		INSERT INTO grants VALUES ('ann@example.com', 1, 1), ('hidden@example.com', 2, 10), ('plain', 3, 99)`)
	b.replace("tables: [teams, users, members]", "tables: [teams, users, members, grants]")
	b.replace("u.name,", "coalesce(u.name, (SELECT min(g.email) FROM grants g WHERE g.user_id = u.id)) AS name,")
	b.yaml += "    grants: SELECT m.team_id AS organization_external_id, m.user_id AS external_id FROM changed c JOIN members m ON m.user_id = c.user_id\n"
	r := b.check()
	want := []Unfed{
		{"public.teams", 1, []string{"3"}},
		{"public.users", 8, []string{"3", "10", "11", "12", "13"}},
		{"public.grants", 2, []string{"sha256:" + redact.Key("hidden@example.com") + "/2", "plain/3"}},
	}
	if !reflect.DeepEqual(r.Unfed, want) {
		t.Errorf("left out are %+v, want %+v\n%s", r.Unfed, want, r.Text())
	}
	if text := r.Text() + string(r.JSON()); strings.Contains(text, "hidden") || !strings.Contains(text, "such as 3, 10, 11, 12, 13") {
		t.Errorf("it prints %s", text)
	}
}

// A member whose organization is not returned becomes nothing, and so do its rows.
func TestUnfedWithoutOrganization(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.exec("INSERT INTO members VALUES (3, 3, 'unknown role'), (3, 1, 'member')") // a deleted team
	r := b.check()
	want := []Unfed{{"public.teams", 1, []string{"3"}}, {"public.users", 1, []string{"3"}}, {"public.members", 2, []string{"3/1", "3/3"}}}
	if !reflect.DeepEqual(r.Unfed, want) || r.Backfill.Members != 3 || !r.OK() || r.Hashes[0].Count != 2 {
		t.Errorf("left out are %+v of %+v, hashes %+v, want %+v\n%s", r.Unfed, r.Backfill, r.Hashes, want, r.Text())
	}
}

// What else cannot be counted leaves who is left out; a captured table that no mapping
// reads feeds nothing.
func TestUnfedAlone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.exec("CREATE TABLE notes (id int PRIMARY KEY); INSERT INTO notes VALUES (7), (8)")
	b.replace("[teams,", "[notes, teams,")
	b.replace("u.password", "u.name::int::text")
	r := b.check()
	want := []Unfed{{"public.notes", 2, []string{"7", "8"}}, {"public.teams", 1, []string{"3"}}, {"public.users", 1, []string{"3"}}}
	if !reflect.DeepEqual(r.Unfed, want) || r.Backfill != nil {
		t.Errorf("left out are %+v beside %+v, want %+v", r.Unfed, r.Backfill, want)
	}
	if !strings.Contains(r.Text(), "A first run: not counted, see the findings.\n") {
		t.Errorf("it prints %s", r.Text())
	}
}

// The limit of what the slot may retain is the one that comes first.
func TestSlotLimit(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.replace("source:\n", "source:\n  slot: {max_retained: 2GB, on_exceed: drop}\n")
	s := b.check().Run.Slot
	if s == nil || s.Exists || s.MostBytes != 2<<30 || s.LimitedBy != "source.slot.max_retained" || s.AlertBytes != 2<<30 {
		t.Errorf("the slot is %+v", s)
	}
	b = newBundle(t)
	b.exec("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", "backstitch_"+b.environment["PREFIX"])
	b.topic("checkpoints", 1, map[string]string{"cleanup.policy": "compact"})
	r := b.check()
	if !r.Run.Slot.Exists || r.Run.Slot.MostBytes != 0 || !strings.Contains(r.Text(), "until the server's disk is full") {
		t.Errorf("the slot is %+v", r.Run.Slot)
	}
	if len(r.Run.Topics) != 6 || !r.Run.Topics[0].Exists || r.Run.Topics[1].Exists || !strings.Contains(r.Text(), "6, of which 5 are to be created") {
		t.Errorf("the topics are %+v", r.Run.Topics)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 bytes", 8192: "8192 bytes", 98304: "96 kB", 5 << 30: "5120 MB", 20 << 30: "20 GB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
