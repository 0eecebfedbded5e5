package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// Run is what a run makes and uses on the servers.
type Run struct {
	// Tables are read first, whole; then their changes are followed.
	Tables []RunTable `json:"tables"`
	// Topics that the pipeline writes; nil when Kafka could not be asked.
	Topics []RunTopic `json:"topics"`
	// Embedded stands in the place of topics where the broker is within each run.
	Embedded *RunEmbedded `json:"embedded,omitempty"`
	Slot     *RunSlot     `json:"slot,omitempty"`
}

// RunTable is a captured table, as the server's statistics have it.
type RunTable struct {
	Table string `json:"table"`
	// Rows is the planner's estimate, -1 where the table was never analyzed.
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
}

// RunTopic is a topic, there or to be created.
type RunTopic struct {
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	Exists     bool   `json:"exists"`
}

// RunSlot is the replication slot, which keeps the log of its whole server back while
// the tables are read for the first time, and while the pipeline stands still.
type RunSlot struct {
	Name        string `json:"name"`
	Publication string `json:"publication"`
	Exists      bool   `json:"exists"`
	// Temporary: each run makes one of its own, and it ends with it.
	Temporary bool `json:"temporary,omitempty"`
	// RetainedBytes are kept back now, for an existing slot.
	RetainedBytes int64 `json:"retained_bytes"`
	// LogBytesPerHour is what the server has written on average since its statistics
	// began; -1 when that is not known. An hour of standing still retains so much.
	LogBytesPerHour int64 `json:"log_bytes_per_hour"`
	// MostBytes is where it ends, 0: nowhere before the disk is full. LimitedBy names the
	// setting: max_slot_wal_keep_size of the server (the slot is lost), or
	// source.slot.max_retained with on_exceed: drop.
	MostBytes int64  `json:"most_bytes"`
	LimitedBy string `json:"limited_by,omitempty"`
	// AlertBytes is where a warning begins (source.slot.max_retained), 0: nowhere.
	AlertBytes int64 `json:"alert_bytes"`
}

// summary says what a run will read, and what its slot may retain.
func (c *check) summary(ctx context.Context) {
	for _, t := range c.cfg.Source.Tables {
		row := RunTable{Table: t.String()}
		err := c.source.QueryRow(ctx, `SELECT CASE WHEN r.reltuples < 0 THEN -1 ELSE r.reltuples END::bigint,
			coalesce((SELECT sum(pg_table_size(p.relid)) FROM pg_partition_tree(r.oid) p), pg_table_size(r.oid))::bigint
			FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE n.nspname = $1 AND r.relname = $2`, t.Schema, t.Name).Scan(&row.Rows, &row.Bytes)
		if errors.Is(err, pgx.ErrNoRows) {
			continue // found by tables
		}
		if err != nil {
			c.failed("source.summary", "source.tables", redact.SQLError(err))
			return
		}
		c.report.Run.Tables = append(c.report.Run.Tables, row)
	}
	s := &RunSlot{Name: c.cfg.Source.Slot, Publication: c.cfg.Source.Publication, Temporary: c.cfg.Kafka.Embedded, AlertBytes: c.cfg.Source.SlotMaxRetained}
	err := c.source.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1),
		       coalesce((SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)
		                 FROM pg_replication_slots WHERE slot_name = $1), 0)::bigint,
		       coalesce((SELECT 3600 * wal_bytes / nullif(extract(epoch FROM now() - stats_reset), 0) FROM pg_stat_wal), -1)::bigint,
		       coalesce((SELECT setting::bigint << 20 FROM pg_settings WHERE name = 'max_slot_wal_keep_size' AND setting::bigint >= 0), 0)`, s.Name).
		Scan(&s.Exists, &s.RetainedBytes, &s.LogBytesPerHour, &s.MostBytes)
	if err != nil {
		c.failed("source.summary", "source.slot", redact.SQLError(err))
		return
	}
	if s.MostBytes > 0 {
		s.LimitedBy = "max_slot_wal_keep_size"
	}
	if most := c.cfg.Source.SlotMaxRetained; c.cfg.Source.SlotOnExceed == "drop" && most > 0 && (s.MostBytes == 0 || most < s.MostBytes) {
		s.MostBytes, s.LimitedBy = most, "source.slot.max_retained"
	}
	c.report.Run.Slot = s
}

// topics notes which topics are there.
func (c *check) topics(all, missing []wanted) {
	c.report.Run.Topics = []RunTopic{}
	for _, w := range all {
		c.report.Run.Topics = append(c.report.Run.Topics, RunTopic{w.name, w.partitions, !slices.Contains(missing, w)})
	}
}

// text is the summary for people.
func (r *Run) text(b *strings.Builder) {
	if len(r.Tables) == 0 && r.Slot == nil && r.Topics == nil {
		return
	}
	b.WriteString("What a run uses:\n")
	var rows, bytes int64
	known := true
	for _, t := range r.Tables {
		rows, bytes, known = rows+t.Rows, bytes+t.Bytes, known && t.Rows >= 0
	}
	if len(r.Tables) > 0 { // none: the source did not answer
		fmt.Fprintf(b, "  tables  %d of %s, read whole at first", len(r.Tables), size(bytes))
		if known {
			fmt.Fprintf(b, ": about %s rows", thousands(rows))
		}
		b.WriteByte('\n')
	}
	if r.Topics != nil {
		create := 0
		for _, t := range r.Topics {
			if !t.Exists {
				create++
			}
		}
		fmt.Fprintf(b, "  topics  %d, of which %d are to be created\n", len(r.Topics), create)
	}
	if r.Embedded != nil {
		r.Embedded.text(b)
	}
	if r.Slot != nil {
		r.Slot.text(b)
	}
}

func (s *RunSlot) text(b *strings.Builder) {
	state, still := "to be created", "an hour of standing still"
	if s.Exists {
		state = "retains " + size(s.RetainedBytes) + " now"
	}
	if s.Temporary {
		state, still = "temporary: each run makes one, and it ends with it", "a run of an hour"
	}
	fmt.Fprintf(b, "  slot    %s, %s", s.Name, state)
	if s.LogBytesPerHour >= 0 {
		fmt.Fprintf(b, "; %s retains about %s%s", still, size(s.LogBytesPerHour), more(!s.Temporary))
	}
	switch {
	case s.MostBytes > 0:
		fmt.Fprintf(b, ", at most %s (%s)\n", size(s.MostBytes), s.LimitedBy)
	default:
		b.WriteString(", until the server's disk is full\n")
	}
}

func more(than bool) string {
	if than {
		return " more"
	}
	return ""
}

// size is a number of bytes as PostgreSQL writes it, by 1024.
func size(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB"}
	at := 0
	for ; n >= 10*1024 && at < len(units)-1; at++ {
		n = (n + 512) / 1024
	}
	return fmt.Sprintf("%d %s", n, units[at])
}

// keyColumns are a captured table's primary key as text, for samples; nil when it is
// not known.
func (c *check) keyColumns(t schemas.Table) (columns []string) {
	for _, captured := range c.captured {
		if captured.Relation.Table != t {
			continue
		}
		for _, at := range captured.Relation.Key {
			columns = append(columns, "t."+schemas.QuoteIdent(captured.Relation.Columns[at].Name))
		}
	}
	return columns
}
