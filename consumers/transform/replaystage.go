package transform

import (
	"context"
	"fmt"
	"strings"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// replayStaging are a table's temporary tables in the session of a replay: the rows
// that routes are asked about, and the keys of those in the mirror.
type replayStaging struct {
	t             *mirrorTable
	changed, keys string
	columns, key  string // lists, quoted
	present       string // adds the mirror's rows
}

func (r *Replay) staging(ctx context.Context, t *mirrorTable) (*replayStaging, error) {
	if s := r.staged[t]; s != nil {
		return s, nil
	}
	n := len(r.staged)
	s := &replayStaging{
		t: t, changed: fmt.Sprintf(`pg_temp."backstitch_changed_%d"`, n), keys: fmt.Sprintf(`pg_temp."backstitch_keys_%d"`, n),
		columns: list("", t.columns), key: list("", t.columns[:t.keys]),
	}
	on := make([]string, t.keys)
	for i, k := range t.columns[:t.keys] {
		on[i] = fmt.Sprintf("n.%[1]s = m.%[1]s", schemas.QuoteIdent(k))
	}
	s.present = fmt.Sprintf("INSERT INTO %s (%s) SELECT DISTINCT ON (%s) %s FROM %s m JOIN %s n ON %s",
		s.changed, s.columns, list("m.", t.columns[:t.keys]), list("m.", t.columns), t.sql(), s.keys, strings.Join(on, " AND "))
	for _, create := range []string{
		fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT %s FROM %s WITH NO DATA", unqualified(s.changed), s.columns, t.sql()),
		fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT %s FROM %s WITH NO DATA", unqualified(s.keys), s.key, t.sql()),
	} {
		if _, err := r.conn.Exec(ctx, create); err != nil {
			return nil, err
		}
	}
	r.staged[t] = s
	return s, nil
}

func unqualified(temp string) string { return strings.TrimPrefix(temp, "pg_temp.") }

// stage fills the tables: what the records carry, and what the mirror has in its
// place now. Images of a former shape, which the columns do not take any more, are
// left out.
func (r *Replay) stage(ctx context.Context, tx pgx.Tx, s *replayStaging, keys, images *copyText) error {
	if _, err := tx.Exec(ctx, "TRUNCATE "+s.changed+", "+s.keys); err != nil {
		return err
	}
	for _, part := range []struct {
		rows           *copyText
		table, columns string
	}{{images, s.changed, s.columns}, {keys, s.keys, s.key}} {
		state, err := tryRows(ctx, tx, defaultPassTimeout, func(tx pgx.Tx) error { return part.rows.copy(ctx, tx.Conn(), part.table, part.columns) })
		if err != nil {
			return err
		}
		if state != "" {
			r.Misfits += int64(part.rows.rows)
		}
	}
	if _, err := tx.Exec(ctx, "ANALYZE "+s.keys); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, s.present)
	return err
}

// images are the rows that records name, and all images that they carry: what a row
// became and, where full says that the source tells (REPLICA IDENTITY FULL), what it
// was. A value that a record does not carry is NULL.
func (d *decoder) images(ctx context.Context, t *mirrorTable, full bool, records []*kgo.Record) (keys, images *copyText, err error) {
	keys, images = &copyText{}, &copyText{}
	for _, rec := range records {
		e, err := d.decode(ctx, t, rec)
		if err == nil && !e.deleted {
			images.values(e.row)
			images.endRow()
		}
		var before schemas.Row
		if err == nil && full {
			before, err = d.before(ctx, t, rec)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read topic %s partition %d offset %d: %w", rec.Topic, rec.Partition, rec.Offset, redact.SQLError(err))
		}
		if before != nil {
			images.values(before)
			images.endRow()
		}
		keys.values(e.row[:t.keys])
		keys.endRow()
	}
	return keys, images, nil
}

// before is the image of a row before a change, or nil.
func (d *decoder) before(ctx context.Context, t *mirrorTable, r *kgo.Record) (schemas.Row, error) {
	if r.Value == nil {
		return nil, nil
	}
	id, body, err := avro.SchemaID(r.Value)
	if err != nil {
		return nil, err
	}
	v, err := d.value(ctx, t, id)
	if err != nil {
		return nil, err
	}
	change, err := v.avro.Decode(body)
	if err != nil || change.Before == nil {
		return nil, err
	}
	row := make(schemas.Row, len(v.from))
	for i, from := range v.from {
		if from >= 0 {
			row[i] = change.Before[from]
		}
	}
	return row, nil
}
