package capture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/publisher"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

// streamed is a table as the stream describes it.
type streamed struct {
	raw   []byte // the Relation message
	table *publisher.Table
	// changed are columns that appeared or changed type: told together with the
	// first row that has them (hazard C9).
	changed []string
	// shape waits to be written with it.
	shape *producers.TableShape
}

// shape takes in a Relation message. The same message comes again on every new
// connection and after any invalidation.
func (x *session) shape(ctx context.Context, rel *replication.Relation) error {
	if t := x.tables[rel.OID]; t != nil && bytes.Equal(t.raw, rel.Raw) {
		return nil
	}
	t := &streamed{raw: rel.Raw}
	if !slices.Contains(x.cfg.Tables, rel.Table) {
		x.tables[rel.OID] = t // a partition, or a table that left the configuration
		return nil
	}
	described, err := x.relation(ctx, rel)
	if err != nil {
		return err
	}
	if t.table, err = x.pub.Table(ctx, described); err != nil {
		return err
	}
	now := shapeOf(rel)
	known, ok := x.shapes[rel.Table.String()]
	switch {
	case !ok || known.OID != rel.OID:
		t.shape = &now
	case !slices.Equal(known.Columns, now.Columns):
		t.shape = &now
		t.changed = changedColumns(known, now)
	}
	x.tables[rel.OID] = t
	return nil
}

func shapeOf(rel *replication.Relation) producers.TableShape {
	shape := producers.TableShape{OID: rel.OID}
	for _, c := range rel.Columns {
		shape.Columns = append(shape.Columns, producers.ColumnShape{Name: c.Name, Type: c.Type, Mod: c.Mod})
	}
	return shape
}

// changedColumns are those of now that old did not have, or had with another type.
func changedColumns(old, now producers.TableShape) []string {
	var changed []string
	for _, c := range now.Columns {
		if !slices.Contains(old.Columns, c) {
			changed = append(changed, c.Name)
		}
	}
	return changed
}

// relation joins what the stream says, which is right at its point, with what the
// catalogue knows now: keys, nullability, defaults, enum labels.
func (x *session) relation(ctx context.Context, rel *replication.Relation) (*schemas.Relation, error) {
	described, err := producers.DescribeOID(ctx, x.control, rel.OID, x.cfg.Publication)
	if errors.Is(err, producers.ErrNotPublished) {
		described = &producers.CapturedTable{Relation: &schemas.Relation{}} // dropped since
	} else if err != nil {
		return nil, err
	}
	declared, err := x.declaredTypes(ctx, rel.OID)
	if err != nil {
		return nil, err
	}
	oids, mods := make([]uint32, len(rel.Columns)), make([]int32, len(rel.Columns))
	for i, c := range rel.Columns {
		oids[i], mods[i] = c.Type, c.Mod
	}
	types, err := producers.ResolveTypes(ctx, x.control, oids, mods)
	if err != nil {
		return nil, err
	}
	out := &schemas.Relation{Table: rel.Table, OID: rel.OID, Full: rel.Identity == 'f'}
	for i, c := range rel.Columns {
		column := schemas.Column{Name: c.Name, Type: types[i]}
		j := slices.IndexFunc(described.Relation.Columns, func(d schemas.Column) bool { return d.Name == c.Name })
		if j >= 0 && declared[c.Name] == (producers.ColumnShape{Name: c.Name, Type: c.Type, Mod: c.Mod}) {
			column = described.Relation.Columns[j]
		}
		out.Columns = append(out.Columns, column)
	}
	return out, keyOf(out, rel, described.Relation)
}

// keyOf finds the primary key's columns: the catalogue's, or, for a table that is
// gone, the replica identity's.
func keyOf(out *schemas.Relation, rel *replication.Relation, described *schemas.Relation) error {
	for _, k := range described.Key {
		i := slices.IndexFunc(out.Columns, func(c schemas.Column) bool { return c.Name == described.Columns[k].Name })
		if i < 0 {
			out.Key = nil
			break
		}
		out.Key = append(out.Key, i)
	}
	if len(out.Key) == 0 && rel.Identity == 'd' {
		for i, c := range rel.Columns {
			if c.Key {
				out.Key = append(out.Key, i)
			}
		}
	}
	if len(out.Key) == 0 {
		return stage.Hold("Give it a primary key again, or: "+fixAll, "table %s has no primary key at this point of the stream: its changes cannot be keyed", rel.Table)
	}
	return nil
}

func (x *session) declaredTypes(ctx context.Context, oid uint32) (map[string]producers.ColumnShape, error) {
	rows, err := x.control.Query(ctx, `
		SELECT attname, atttypid, atttypmod FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped`, oid)
	if err != nil {
		return nil, fmt.Errorf("read a table's column types: %w", redact.SQLError(err))
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[producers.ColumnShape])
	if err != nil {
		return nil, fmt.Errorf("read a table's column types: %w", redact.SQLError(err))
	}
	byName := make(map[string]producers.ColumnShape, len(columns))
	for _, c := range columns {
		byName[c.Name] = c
	}
	return byName, nil
}

// announce writes what is to be told about a table before its next row.
func (x *session) announce(ctx context.Context, t *streamed, version schemas.Version) error {
	table := t.table.Relation.Table
	if len(t.changed) > 0 {
		if err := x.addControl(ctx, schemas.Control{Kind: schemas.ControlColumns, Table: table, Columns: t.changed, Version: version}); err != nil {
			return err
		}
		// Rows of finished ranges lack the column: a table in work is read from its start.
		if p := x.backfill.Tables[table.String()]; !p.Done && len(p.Ranges) > 0 {
			x.backfill.Tables[table.String()] = schemas.TableProgress{Estimate: p.Estimate, Run: p.Run}
		}
	}
	if t.shape != nil {
		x.shapes[table.String()] = *t.shape
		value, err := json.Marshal(x.shapes)
		if err != nil {
			return fmt.Errorf("encode the tables' shapes: %w", err)
		}
		x.batch.Control(producers.KeyRelations, value)
	}
	t.changed, t.shape = nil, nil
	return nil
}

// addControl adds a control record to the batch: it is committed together with the
// changes around it.
func (x *session) addControl(ctx context.Context, c schemas.Control) error {
	c.Time = x.deps.Clock().UTC()
	value, err := schemas.Encode(c)
	if err != nil {
		return fmt.Errorf("encode a control record: %w", err)
	}
	x.log.WarnContext(ctx, "the source saw what data topics cannot carry", "kind", c.Kind, "table", c.Table.String(), "columns", c.Columns)
	x.batch.Control(schemas.KeyControlPrefix+c.Version.String(), value)
	return nil
}
