package transform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Headers of the two records of a primary-key update, as Debezium names and writes
// them: the other record's key as a JSON object.
const (
	headerOldKey = "__debezium.oldkey"
	headerNewKey = "__debezium.newkey"
)

// headerValue and a column's name carry, as text, a value that the column's Avro
// type cannot hold; the record has NULL there.
const headerValue = "backstitch.value."

// schemaSource finds a writer's schema by its id in the registry.
type schemaSource func(ctx context.Context, id int) (string, error)

// decoder turns records of the data topics into events. It is used by one
// goroutine.
type decoder struct {
	schema schemaSource
	values map[topicSchema]valueDecoder
	keys   map[topicSchema]keyDecoder
}

// topicSchema: one schema id may serve several topics with different mirrors.
type topicSchema struct {
	topic string
	id    int
}

type valueDecoder struct {
	avro *avro.Decoder
	from []int // by mirror column: the place in the writer's columns, or -1
}

type keyDecoder struct {
	avro *avro.KeyDecoder
	from []int
}

func newDecoder(schema schemaSource) *decoder {
	return &decoder{schema: schema, values: map[topicSchema]valueDecoder{}, keys: map[topicSchema]keyDecoder{}}
}

// decode reads a record of a table's topic. Columns that the writer did not know
// are NULL: hazard C9 keeps the mapping from reading them.
func (d *decoder) decode(ctx context.Context, t *mirrorTable, r *kgo.Record) (*event, error) {
	e := &event{offset: r.Offset, commit: r.Timestamp, size: len(r.Key) + len(r.Value) + 48*len(t.columns) + 128}
	if err := readHeaders(t, r, e); err != nil {
		return nil, err
	}
	if r.Value == nil { // a tombstone: after compaction it may be all that is left of a delete
		return e, d.deleted(ctx, t, r.Key, e)
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
	if err != nil {
		return nil, err
	}
	e.commit = time.UnixMicro(change.TsMicros)
	if change.Op == schemas.Delete {
		return e, d.deleted(ctx, t, r.Key, e)
	}
	if change.After == nil {
		return nil, fmt.Errorf("a record of op %q has no image", change.Op)
	}
	e.row = make(schemas.Row, len(v.from))
	for i, from := range v.from {
		if from >= 0 {
			e.row[i] = change.After[from]
		}
	}
	for _, h := range r.Headers {
		if name, ok := strings.CutPrefix(h.Key, headerValue); ok {
			if i := slices.Index(t.columns, name); i >= 0 {
				e.row[i] = schemas.Value{State: schemas.Text, Data: h.Value}
			}
		}
	}
	e.key = rowKey(e.row[:t.keys])
	return e, nil
}

func readHeaders(t *mirrorTable, r *kgo.Record, e *event) error {
	versioned := false
	for _, h := range r.Headers {
		switch h.Key {
		case schemas.HeaderVersion:
			v, err := schemas.ParseVersion(string(h.Value))
			if err != nil {
				return err
			}
			e.version, versioned = v, true
		case headerOldKey:
			values, err := keyFromHeader(t, h.Value)
			if err != nil {
				return fmt.Errorf("read header %s: %w", h.Key, err)
			}
			e.movedFrom = rowKey(values)
		case headerNewKey:
			e.movedAway = true
		}
	}
	if !versioned {
		return fmt.Errorf("a record has no header %s: it was not written by Backstitch", schemas.HeaderVersion)
	}
	return nil
}

// keyFromHeader reads a key such as {"id":100}.
func keyFromHeader(t *mirrorTable, header []byte) (schemas.Row, error) {
	var key map[string]json.RawMessage
	if err := json.Unmarshal(header, &key); err != nil {
		return nil, errors.New("it is not a JSON object") // the error would carry the key
	}
	row := make(schemas.Row, t.keys)
	for i, name := range t.columns[:t.keys] {
		value := []byte(key[name])
		if len(value) > 0 && value[0] == '"' {
			var text string
			if err := json.Unmarshal(value, &text); err != nil {
				return nil, fmt.Errorf("column %s is not a JSON text", name)
			}
			value = []byte(text)
		}
		if value == nil {
			return nil, fmt.Errorf("column %s is missing", name)
		}
		row[i] = schemas.Value{State: schemas.Text, Data: value}
	}
	return row, nil
}

func (d *decoder) deleted(ctx context.Context, t *mirrorTable, key []byte, e *event) error {
	values, err := d.keyOf(ctx, t, key)
	if err != nil {
		return err
	}
	e.deleted, e.row, e.key = true, values, rowKey(values)
	return nil
}

// keyOf decodes a record key into the mirror's key columns.
func (d *decoder) keyOf(ctx context.Context, t *mirrorTable, key []byte) (schemas.Row, error) {
	id, body, err := avro.SchemaID(key)
	if err != nil {
		return nil, err
	}
	at := topicSchema{t.topic, id}
	k, ok := d.keys[at]
	if !ok {
		text, err := d.schema(ctx, id)
		if err != nil {
			return nil, err
		}
		if k.avro, err = avro.NewKeyDecoder(text); err != nil {
			return nil, err
		}
		k.from = places(t.columns[:t.keys], k.avro.Columns())
		if slices.Contains(k.from, -1) {
			return nil, fmt.Errorf("key schema %d has columns %v, the primary key is %v", id, k.avro.Columns(), t.columns[:t.keys])
		}
		d.keys[at] = k
	}
	values, err := k.avro.Decode(body)
	if err != nil {
		return nil, err
	}
	row := make(schemas.Row, len(k.from))
	for i, from := range k.from {
		row[i] = values[from]
	}
	return row, nil
}

func (d *decoder) value(ctx context.Context, t *mirrorTable, id int) (valueDecoder, error) {
	at := topicSchema{t.topic, id}
	v, ok := d.values[at]
	if ok {
		return v, nil
	}
	text, err := d.schema(ctx, id)
	if err != nil {
		return v, err
	}
	if v.avro, err = avro.NewDecoder(text); err != nil {
		return v, err
	}
	v.from = places(t.columns, v.avro.Columns())
	if slices.Contains(v.from[:t.keys], -1) {
		return v, fmt.Errorf("schema %d has columns %v, without the primary key %v", id, v.avro.Columns(), t.columns[:t.keys])
	}
	d.values[at] = v
	return v, nil
}

// places finds each of the wanted names in have; -1 where it is missing.
func places(want, have []string) []int {
	at := make([]int, len(want))
	for i, name := range want {
		at[i] = slices.Index(have, name)
	}
	return at
}
