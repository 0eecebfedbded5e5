package preflight

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/producers/replication"
)

func (c *check) application() string { return c.cfg.Name + "-check" }

func (c *check) openSource(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, c.deps.Patience)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, replication.Session(c.deps.Source, c.application()))
	if err != nil {
		key, fix := orElse(WireSource, err, "Check address, credentials and pg_hba.conf")
		c.find(Error, "source.unreachable", key, fix, "no connection to the legacy database: %v", redact.SQLError(err))
		return false
	}
	c.source = conn
	c.unverified(WireSource, c.cfg.Source.Postgres)
	return true
}

// orElse is Blame with a fix for what it has no idea about.
func orElse(wire string, err error, otherwise string) (key, fix string) {
	if key, fix = Blame(wire, err); key == "" {
		return wire, otherwise
	}
	return key, fix
}

// unverified warns of a connection that others on the network could read, or answer.
func (c *check) unverified(key string, url config.Secret) {
	if config.Unverified(url) {
		c.find(Warning, key[:strings.IndexByte(key+".", '.')]+".tls", key, "Write sslmode=verify-full, and sslrootcert where the system's authorities do not suffice, into the URL",
			"sslmode does not both encrypt and verify: on the way to the server others could read the rows, or answer in its place")
	}
}

// settings are what the source's server is set to.
type settings struct {
	version         int
	walLevel        string
	recovery        bool
	slots, maxSlots int
	senders         int
	maxSenders      int
	keepSize        string
	standbys        string
	oldestXact      int // seconds
	oldestPID       int
	ourSlot         bool
}

func (c *check) sourceSettings(ctx context.Context) {
	var s settings
	err := c.source.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('wal_level'), pg_is_in_recovery(),
		       (SELECT count(*) FROM pg_replication_slots), current_setting('max_replication_slots')::int,
		       (SELECT count(*) FROM pg_stat_replication), current_setting('max_wal_senders')::int,
		       current_setting('max_slot_wal_keep_size'), current_setting('synchronous_standby_names'),
		       coalesce(o.seconds, 0)::int, coalesce(o.pid, 0),
		       EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = $1)
		FROM (VALUES (1)) one
		LEFT JOIN (SELECT extract(epoch FROM clock_timestamp() - xact_start) AS seconds, pid FROM pg_stat_activity
		           WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 1) o ON true`, c.cfg.Source.Slot).
		Scan(&s.version, &s.walLevel, &s.recovery, &s.slots, &s.maxSlots, &s.senders, &s.maxSenders, &s.keepSize, &s.standbys,
			&s.oldestXact, &s.oldestPID, &s.ourSlot)
	if err != nil {
		c.failed("source.settings", "source.postgres", redact.SQLError(err))
		return
	}
	const key = "source.postgres"
	if s.version < 150000 {
		c.find(Error, "source.version", key, "Upgrade the server, or stream from a copy on PostgreSQL 15 or newer",
			"the server's version number is %d: column lists and row filters of publications need PostgreSQL 15", s.version)
	}
	if s.recovery {
		c.find(Error, "source.standby", key, "Point source.postgres at the primary", "the server is a standby: publication and heartbeats need to write")
	}
	if s.walLevel != "logical" {
		c.find(Error, "source.wal_level", key, "ALTER SYSTEM SET wal_level = logical, then restart the server",
			"wal_level is %s: without logical the log does not hold what changes are decoded from", s.walLevel)
	}
	c.capacity(s)
	if firstStandby := synchronous(s.standbys, c.cfg.Name+"-source"); firstStandby != "" { // hazard S19
		c.find(Error, "source.synchronous_standby_names", key, "Name the real standbys in synchronous_standby_names",
			"synchronous_standby_names has %s, which our connection matches: commits of the legacy application would wait for Kafka", firstStandby)
	}
	if s.oldestXact > 60 { // hazard S20
		c.find(Warning, "source.long_transaction", key, "End it, or wait for it",
			"a transaction that writes is open for %s (pid %d): a new replication slot waits for it", time.Duration(s.oldestXact)*time.Second, s.oldestPID)
	}
}

// capacity checks that our slot, a temporary one for backfills, and their two
// connections have room.
func (c *check) capacity(s settings) {
	need := 2
	if s.ourSlot {
		need = 1
	}
	if free := s.maxSlots - s.slots; free < need {
		c.find(Error, "source.max_replication_slots", "source.slot", "Raise max_replication_slots and restart, or drop a slot that nobody needs",
			"%d of %d replication slots are free: our own and a temporary one for backfills need %d", free, s.maxSlots, need)
	}
	if free := s.maxSenders - s.senders; free < 2 {
		c.find(Error, "source.max_wal_senders", "source.postgres", "Raise max_wal_senders and restart the server",
			"%d of %d walsenders are free: the stream and backfills need 2", free, s.maxSenders)
	}
	if c.cfg.Kafka.Embedded { // the slot ends with the run
		return
	}
	if s.keepSize == "-1" {
		c.find(Warning, "source.max_slot_wal_keep_size", "source.slot", "Set max_slot_wal_keep_size below the disk's free space, and alert on the retained bytes",
			"max_slot_wal_keep_size has no limit: while the pipeline stands still, the slot retains log until the server's disk is full")
	} else {
		c.find(Note, "source.max_slot_wal_keep_size", "source.slot", "Let it hold the log of your longest stand-still (what an hour comes to stands below), and alert on the retained bytes",
			"max_slot_wal_keep_size is %s: a pipeline that is away for more log than that loses its slot and has to read everything again", s.keepSize)
	}
}

// synchronous is the entry of synchronous_standby_names that our connection
// matches, or "".
func synchronous(names, ours string) string {
	words := strings.FieldsFunc(names, func(r rune) bool { return strings.ContainsRune(" ,()", r) })
	i := slices.IndexFunc(words, func(w string) bool {
		w = strings.Trim(w, `"`)
		return w == "*" || strings.EqualFold(w, ours)
	})
	if i < 0 {
		return ""
	}
	return words[i]
}

// replication opens a replication connection: the one proof that role and
// pg_hba.conf allow it, on managed servers too.
func (c *check) replication(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.deps.Patience)
	defer cancel()
	conn, err := replication.Connect(ctx, c.deps.Source, c.application())
	if err != nil {
		c.find(Error, "source.replication", "source.postgres",
			"ALTER ROLE … REPLICATION (on RDS: GRANT rds_replication), and a line for the role in pg_hba.conf that is not limited to other databases",
			"the role cannot stream: %v", redact.SQLError(err))
		return
	}
	system, err := conn.Identify(ctx)
	if err := errors.Join(err, conn.Close()); err != nil {
		c.failed("source.replication", "source.postgres", err)
		return
	}
	c.system = system.ID
}
