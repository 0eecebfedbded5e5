package pipeline

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline/admin"
)

// Hazards C6 and C16: rows that nothing comes of and routes that miss changes stand
// in the status, whatever process reads it.
func TestStatusShowsAudits(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	if err := ledger.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	pool, err := ledger.Open(t.Context(), dsn, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	_, err = pool.Exec(t.Context(), `INSERT INTO backstitch.passes (cause, digest, epoch, commit_lsn, entities, changed, missed, suspects, null_keys, ended_at) VALUES
		('load', 'd', 1, 256, 10, 10, 0, '{}', 2, now()), ('audit', 'd', 1, 512, 9, 9, 0, '{}', 0, now()), ('audit', 'd', 1, 768, 10, 3, 3, '{public.users}', 2, NULL)`)
	if err != nil {
		t.Fatal(err)
	}
	var s admin.Status
	if err := readLedger(t.Context(), pool, &s); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(s.Transform.Audits)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`[{"cause":"audit","commit_lsn":"0/300","entities":10,"changed":3,"missed":3,"suspects":["public.users"],"null_keys":2,"started_at":`,
		`{"cause":"load","commit_lsn":"0/100","entities":10,"changed":10,"missed":0,"null_keys":2,"started_at":`,
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the audits are %s, want %s", got, want)
		}
	}
	if len(s.Transform.Audits) != 2 || s.Transform.Audits[0].EndedAt != nil || s.Transform.Audits[1].EndedAt == nil {
		t.Errorf("the audits are %s, want the newest of each cause", got)
	}
}
