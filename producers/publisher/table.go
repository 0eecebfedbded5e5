package publisher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/backstitch/backstitch/schemas/registry"
)

// Debezium's headers on the records of a key change.
const (
	headerNewKey = "__debezium.newkey"
	headerOldKey = "__debezium.oldkey"
	// HeaderValuePrefix and a column's name carry, as text, a value that the
	// column's Avro type cannot hold; the record then has NULL there.
	HeaderValuePrefix = "backstitch.value."
)

// Table encodes the changes of one table at one shape into records.
type Table struct {
	Relation *schemas.Relation

	p          *Publisher
	topic      string
	partitions int
	maxBytes   int
	avro       *avro.Table
	keyID      int
	valueID    int
}

// Table derives and registers the schemas of a relation. The topic must have been
// ensured.
func (p *Publisher) Table(ctx context.Context, rel *schemas.Relation) (*Table, error) {
	topic := schemas.DataTopic(p.cfg.Prefix, rel.Table)
	known, ok := p.topics[topic]
	if !ok {
		return nil, fmt.Errorf("encode %s: topic %s was not looked up", rel.Table, topic)
	}
	t := &Table{p: p, topic: topic, partitions: len(known.ends), maxBytes: known.maxBytes}
	if err := t.derive(ctx, rel); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Table) derive(ctx context.Context, rel *schemas.Relation) error {
	p := t.p
	codec, err := avro.NewTable(p.cfg.Prefix, p.cfg.Database, rel)
	if err != nil {
		return fmt.Errorf("derive the schemas of %s: %w", rel.Table, err)
	}
	keyID, err := p.cfg.Registry.Register(ctx, registry.KeySubject(t.topic), codec.KeySchema())
	if err != nil {
		return fmt.Errorf("register the key schema of %s: %w", rel.Table, err)
	}
	valueID, err := p.cfg.Registry.Register(ctx, registry.ValueSubject(t.topic), codec.ValueSchema())
	if err != nil {
		return fmt.Errorf("register the value schema of %s: %w", rel.Table, err)
	}
	t.Relation, t.avro, t.keyID, t.valueID = rel, codec, keyID, valueID
	return nil
}

// Add encodes a change into the batch: one record, a delete and its tombstone, or
// for a changed key Debezium's three (delete, tombstone, create). The change's
// rows may alias a buffer; nothing of them is kept.
func (t *Table) Add(ctx context.Context, b *Batch, c *schemas.Change) error {
	c.Relation = t.Relation
	if c.Op == schemas.Delete {
		return t.delete(ctx, b, c, c.Old, nil)
	}
	if c.Op == schemas.Update && c.Old != nil && t.keyChanged(c) {
		before := *c
		before.Op, before.New = schemas.Delete, nil
		newKey, err := keyText(t.Relation, c.New)
		if err != nil {
			return err
		}
		if err := t.delete(ctx, b, &before, c.Old, newKey); err != nil {
			return err
		}
		oldKey, err := keyText(t.Relation, c.Old)
		if err != nil {
			return err
		}
		after := *c
		after.Op, after.Old = schemas.Create, nil
		return t.value(ctx, b, &after, after.New, headerOldKey, oldKey)
	}
	row := c.New
	if c.Old != nil {
		row = t.keyRow(c)
	}
	return t.value(ctx, b, c, row, "", nil)
}

// keyRow is the row to take the key from: a key value that TOAST left out of the
// new row stands in the old one.
func (t *Table) keyRow(c *schemas.Change) schemas.Row {
	for _, k := range t.Relation.Key {
		if c.New[k].State == schemas.Unchanged {
			return c.Old
		}
	}
	return c.New
}

func (t *Table) keyChanged(c *schemas.Change) bool {
	for _, k := range t.Relation.Key {
		if c.New[k].State == schemas.Text && c.Old[k].State == schemas.Text && !bytes.Equal(c.New[k].Data, c.Old[k].Data) {
			return true
		}
	}
	return false
}

func (t *Table) delete(ctx context.Context, b *Batch, c *schemas.Change, old schemas.Row, newKey []byte) error {
	name := ""
	if newKey != nil {
		name = headerNewKey
	}
	if err := t.value(ctx, b, c, old, name, newKey); err != nil {
		return err
	}
	chunk := b.chunks[(b.records-1)/chunkSize]
	last := &chunk[len(chunk)-1]
	b.add(t.topic, last.Partition, last.Key, nil, last.Headers)
	return nil
}

func (t *Table) value(ctx context.Context, b *Batch, c *schemas.Change, keyRow schemas.Row, extra string, extraValue []byte) error {
	key, err := t.avro.AppendKey(b.space(), t.keyID, keyRow)
	if err != nil {
		return t.keyError(err)
	}
	key = b.keep(key)
	version := b.keep(c.Version.Append(b.space()))
	value, lost, err := t.encode(ctx, b, c)
	if err != nil {
		return err
	}
	n := 1 + len(lost)
	if extra != "" {
		n++
	}
	headers := b.header(n)
	headers[0] = kgo.RecordHeader{Key: schemas.HeaderVersion, Value: version}
	copy(headers[1:], lost)
	if extra != "" {
		headers[n-1] = kgo.RecordHeader{Key: extra, Value: extraValue}
	}
	if size := len(key) + len(value) + recordOverhead; size > t.maxBytes {
		return stage.Hold( // hazard S21
			fmt.Sprintf("Raise max.message.bytes of topic %s above %d, or shorten the row at the source", t.topic, size),
			"a row of table %s needs a record of %d bytes, and topic %s takes %d (max.message.bytes): it cannot be written, and skipping it would lose it",
			t.Relation.Table, size, t.topic, t.maxBytes)
	}
	b.add(t.topic, schemas.Partition(key, t.partitions), key, value, headers)
	return nil
}

// keyError: a key has no header that its text could travel in.
func (t *Table) keyError(err error) error {
	var bad *avro.ValueError
	if !errors.As(err, &bad) {
		return fmt.Errorf("encode a key of %s: %w", t.Relation.Table, err)
	}
	return stage.Hold( // hazard S21
		"Take the table out of source.tables, or give such rows another key, and then run `backstitch backfill --all`: a new slot, the next epoch, every table read again",
		"a row of table %s cannot be keyed: column %s of its primary key (%s) holds a value for which there is no record (%v), and skipping the row would lose it",
		t.Relation.Table, bad.Column, bad.Type, bad.Reason)
}

// encode appends the value. A NULL where the catalogue says NOT NULL makes the
// column nullable, registered as such (hazard S24). A value that its Avro type
// cannot hold travels as text in a header, never dropped.
func (t *Table) encode(ctx context.Context, b *Batch, c *schemas.Change) ([]byte, []kgo.RecordHeader, error) {
	var lost []kgo.RecordHeader
	for range 2*len(t.Relation.Columns) + 1 {
		value, err := t.avro.AppendValue(b.space(), t.valueID, c, t.p.cfg.Now())
		var null *avro.NullError
		var bad *avro.ValueError
		switch {
		case err == nil:
			return b.keep(value), lost, nil
		case errors.As(err, &null):
			if err := t.allowNull(ctx, null.Column); err != nil {
				return nil, nil, err
			}
			c.Relation = t.Relation
		case errors.As(err, &bad):
			h, ok := t.withhold(c, bad.Column)
			if !ok {
				return nil, nil, fmt.Errorf("encode a row of %s: %w", t.Relation.Table, err)
			}
			lost = append(lost, h)
		default:
			return nil, nil, fmt.Errorf("encode a row of %s: %w", t.Relation.Table, err)
		}
	}
	return nil, nil, fmt.Errorf("encode a row of %s: its columns cannot be written", t.Relation.Table)
}

func (t *Table) allowNull(ctx context.Context, column string) error {
	rel := *t.Relation
	rel.Columns = slices.Clone(rel.Columns)
	i := slices.IndexFunc(rel.Columns, func(c schemas.Column) bool { return c.Name == column })
	if i < 0 || !rel.Columns[i].NotNull {
		return fmt.Errorf("encode a row of %s: column %s cannot be made nullable", rel.Table, column)
	}
	rel.Columns[i].NotNull = false
	t.p.cfg.Logger.WarnContext(ctx, "a row is older than a NOT NULL constraint: the column becomes nullable in the schema",
		"table", rel.String(), "column", column)
	return t.derive(ctx, &rel)
}

// withhold replaces a value in the change's rows by NULL and returns it as header.
func (t *Table) withhold(c *schemas.Change, column string) (kgo.RecordHeader, bool) {
	i := slices.IndexFunc(t.Relation.Columns, func(c schemas.Column) bool { return c.Name == column })
	if i < 0 || slices.Contains(t.Relation.Key, i) {
		return kgo.RecordHeader{}, false
	}
	h := kgo.RecordHeader{Key: HeaderValuePrefix + column}
	found := false
	for _, row := range []*schemas.Row{&c.Old, &c.New} {
		if *row == nil || (*row)[i].State != schemas.Text {
			continue
		}
		h.Value = bytes.Clone((*row)[i].Data) // the new row's, when both have one
		*row = slices.Clone(*row)
		(*row)[i] = schemas.Value{}
		found = true
	}
	return h, found
}

// keyText is a key as Debezium's headers show it: {"id":100}.
func keyText(rel *schemas.Relation, row schemas.Row) ([]byte, error) {
	out := []byte{'{'}
	for i, k := range rel.Key {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(rel.Columns[k].Name)
		if err != nil {
			return nil, fmt.Errorf("encode a key of %s: %w", rel.Table, err)
		}
		out = append(append(out, name...), ':')
		switch rel.Columns[k].Type.OID {
		case 20, 21, 23, 26: // int8, int2, int4, oid
			out = append(out, row[k].Data...)
		default:
			text, err := json.Marshal(string(row[k].Data))
			if err != nil {
				return nil, fmt.Errorf("encode a key of %s: %w", rel.Table, err)
			}
			out = append(out, text...)
		}
	}
	return append(out, '}'), nil
}
