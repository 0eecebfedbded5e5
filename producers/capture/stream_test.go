package capture_test

import (
	"testing"

	"github.com/backstitch/backstitch/schemas"
)

const people = `
	CREATE TABLE "Team" (id int PRIMARY KEY, name text NOT NULL);
	CREATE TABLE users (id int PRIMARY KEY, team int NOT NULL, email text NOT NULL, note text);
	ALTER TABLE users ALTER note SET STORAGE EXTERNAL;
	INSERT INTO "Team" SELECT i, 'team ' || i FROM generate_series(1, 50) i;
	INSERT INTO users SELECT i, i % 50 + 1, 'u' || i || '@example.com', repeat('x', 3000) FROM generate_series(1, 500) i`

// invariants 1, 2 and 3: what was there and what changes is in the topics once, in
// order, and the slot follows what is committed.
func TestBackfillThenStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, people, `public."Team"`, "users")
	s := r.start()
	r.caughtUp(s)
	r.exec(`UPDATE users SET email = 'changed' || id || '@example.com' WHERE id <= 100`)
	r.exec(`DELETE FROM users WHERE id BETWEEN 200 AND 220`)
	r.exec(`UPDATE users SET id = id + 10000 WHERE id = 300`)
	r.exec(`BEGIN; DELETE FROM "Team" WHERE id = 7; INSERT INTO "Team" VALUES (7, 'again'); COMMIT`)
	r.caughtUp(s)
	records := r.records()
	r.verify(records)
	reads, keyChange := 0, 0
	for _, k := range records {
		if k.Op == schemas.Read {
			reads++
		}
		if k.Headers["__debezium.newkey"] != "" || k.Headers["__debezium.oldkey"] != "" {
			keyChange++
		}
	}
	if reads != 550 {
		t.Errorf("%d rows read by the backfill, want 550", reads)
	}
	if keyChange != 3 {
		t.Errorf("%d records of the key change, want delete, tombstone and create", keyChange)
	}
	c := r.checkpoint()
	r.until("the slot to be confirmed", func() bool {
		var text string
		r.scan(&text, "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", "backstitch_"+r.cfg.Prefix)
		lsn, err := schemas.ParseLSN(text)
		return err == nil && lsn >= c.Position.EndLSN
	})
}
