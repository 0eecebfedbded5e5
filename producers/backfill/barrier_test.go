package backfill_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/producers/backfill"
)

// TestSlotSnapshotIsExact plays experiment E1, on which the whole design rests: a
// commit that waits for a synchronous standby is streamed while no new snapshot
// sees it, so neither an LSN nor a watermark is a barrier. The snapshot of a slot's
// creation is: creation waits until the commit is visible (invariant 3).
func TestSlotSnapshotIsExact(t *testing.T) {
	t.Parallel()
	server := testenv.OwnPostgres(t, nil)
	s := connectSource(t, server.URL("postgres"),
		"CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1)", "CREATE PUBLICATION p FOR TABLE t",
		"SELECT pg_create_logical_replication_slot('main', 'pgoutput')",
		"SET synchronous_commit = local", "ALTER SYSTEM SET synchronous_standby_names = 'missing'", "SELECT pg_reload_conf()")
	s.eventually(t, "the setting is in force", "SELECT current_setting('synchronous_standby_names') = 'missing'")
	table := s.describe(t, "t")
	update, pid := s.background(t, "UPDATE t SET v = 2")
	s.eventually(t, "the commit waits for its standby", "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep')", pid)

	s.eventually(t, "the commit is streamed", `
		SELECT count(*) FILTER (WHERE get_byte(data, 0) = ascii('C')) > 0 FROM pg_logical_slot_peek_binary_changes('main', NULL, NULL, 'proto_version', '1', 'publication_names', 'p')`)
	if rows, err := rowsOf(t, s.cfg, s.snapshot(t), table[0]); err != nil || !slices.Equal(rows, []string{"[=1 =1]"}) {
		t.Errorf("a new snapshot reads %v, %v: the race of E1 is gone", rows, err)
	}

	k := keeper(t, s)
	created := make(chan string, 1)
	replication := s.replication(t)
	go func() {
		snapshot, err := slot(t, replication)
		if err != nil {
			t.Errorf("create the temporary slot: %v", err)
		}
		created <- snapshot
	}()
	s.eventually(t, "the slot's creation waits", waits, replication.PID())
	blockers, err := backfill.Blockers(t.Context(), s.Conn)
	if err != nil || len(blockers) != 1 || !strings.Contains(blockers[0], "somebody") {
		t.Errorf("blockers %q, %v; want the commit that waits (hazard S20)", blockers, err)
	}
	s.exec(t, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	if err := <-update; err != nil {
		t.Error(err)
	}
	exported, err := k.Adopt(t.Context(), <-created)
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := rowsOf(t, s.cfg, exported, table[0]); err != nil || !slices.Equal(rows, []string{"[=1 =2]"}) {
		t.Errorf("the slot's snapshot reads %v, %v; want the commit that was streamed before it", rows, err)
	}
}

// TestBlockers plays hazard S20: creating a slot waits for writers of every
// database, prepared ones too; readers do not matter.
func TestBlockers(t *testing.T) {
	t.Parallel()
	server := testenv.OwnPostgres(t, map[string]string{"max_prepared_transactions": "5"})
	s := connectSource(t, server.URL("postgres"), "CREATE TABLE t (v text)", "CREATE DATABASE ledger", "CREATE ROLE plain LOGIN PASSWORD 'plain'")
	if blockers, err := backfill.Blockers(t.Context(), s.Conn); err != nil || len(blockers) != 0 {
		t.Fatalf("on an idle server: %q, %v", blockers, err)
	}
	reader := connectSource(t, server.URL("postgres"), "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1")
	_ = reader
	prepared := connectSource(t, server.URL("postgres"), "BEGIN", "INSERT INTO t VALUES ('jane@corp.example')", "PREPARE TRANSACTION 'two phases'")
	other := connectSource(t, server.URL("ledger"), "SET application_name = 'the ledger'", "CREATE TABLE t (v text)", "BEGIN", "INSERT INTO t VALUES ('jane@corp.example')")

	replication := s.replication(t)
	created := make(chan error, 1)
	go func() {
		_, err := slot(t, replication)
		created <- err
	}()
	s.eventually(t, "the slot's creation waits", waits, replication.PID())
	plain := s.cfg.Copy()
	plain.User, plain.Password = "plain", "plain"
	for _, conn := range []source{s, {Conn: connectAs(t, plain, nil)}} {
		blockers, err := backfill.Blockers(t.Context(), conn.Conn)
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Join(blockers, "\n")
		if len(blockers) != 2 || !strings.Contains(all, "'two phases'") || !strings.Contains(all, "database ledger") || !strings.Contains(all, "the ledger") {
			t.Errorf("blockers:\n%s", all)
		}
		if strings.Contains(all, "INSERT") || strings.Contains(all, "jane") {
			t.Errorf("a query or value was named:\n%s", all)
		}
	}
	if old, err := backfill.Writers(t.Context(), s.Conn, time.Hour); err != nil || len(old) != 0 {
		t.Errorf("writers older than an hour: %q, %v", old, err)
	}
	other.exec(t, "COMMIT")
	prepared.exec(t, "ROLLBACK PREPARED 'two phases'")
	if err := <-created; err != nil {
		t.Error(err)
	}
}
