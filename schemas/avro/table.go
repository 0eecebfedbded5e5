package avro

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/backstitch/backstitch/schemas"
)

// Version is what source.version says.
const Version = "backstitch-0.1"

// connector is what source.connector says: the records are those of Debezium's
// connector of this name.
const connector = "postgresql"

var errNull = errors.New("null")

// Table is a relation's compiled codec. It is immutable and safe for concurrent use.
type Table struct {
	table    schemas.Table
	full     bool // REPLICA IDENTITY FULL
	columns  []column
	key      []int
	value    string
	keyText  string
	warnings []string
	// The constant parts of a record's source block, in Avro.
	head, database, names []byte
}

// NewTable compiles a relation for the topics of a prefix. It keeps no reference to
// rel. A relation without a primary key, or whose column names cannot be told apart
// in Avro, is an error.
func NewTable(prefix, database string, rel *schemas.Relation) (*Table, error) {
	if len(rel.Key) == 0 {
		return nil, fmt.Errorf("%s: a table without a primary key has no record key (hazard S21): add one, or take it out of the publication", rel.Table)
	}
	t := &Table{table: rel.Table, full: rel.Full, key: append([]int(nil), rel.Key...)}
	fields := make([]field, 0, len(rel.Columns))
	seen := make(map[string]string, len(rel.Columns))
	for _, c := range rel.Columns {
		col, f, warning := newColumn(c)
		if other, twice := seen[f.name]; twice {
			return nil, fmt.Errorf("%s: columns %q and %q are both %s in Avro: rename one, or leave it out of the publication", rel.Table, other, c.Name, f.name)
		}
		seen[f.name] = c.Name
		if warning != "" {
			t.warnings = append(t.warnings, fmt.Sprintf("%s: column %s: %s", rel.Table, c.Name, warning))
		}
		t.columns = append(t.columns, col)
		fields = append(fields, f)
	}
	t.warnNaN()
	keyFields, err := t.keyFields(fields)
	if err != nil {
		return nil, err
	}
	namespace := avroNamespace(prefix, rel.Table)
	t.keyText = schemaText(keySchema(namespace, keyFields))
	t.value = schemaText(envelopeSchema(namespace, fields))
	t.head = appendString(appendString(appendString(nil, Version), connector), prefix)
	t.database = appendString(nil, database)
	t.names = appendString(appendString(nil, rel.Schema), rel.Name)
	return t, nil
}

func (t *Table) keyFields(fields []field) ([]field, error) {
	key := make([]field, 0, len(t.key))
	for _, i := range t.key {
		if i < 0 || i >= len(fields) {
			return nil, fmt.Errorf("%s: key column %d of %d: the relation's key is not within its columns", t.table, i, len(fields))
		}
		if t.columns[i].nullable {
			return nil, fmt.Errorf("%s: key column %s is nullable: a primary key cannot be", t.table, t.columns[i].name)
		}
		key = append(key, fields[i])
	}
	return key, nil
}

func (t *Table) warnNaN() {
	for _, c := range t.columns {
		if k := c.codec.schema; k.name == "VariableScaleDecimal" || k.logicalType == "decimal" && k.pgType == "" {
			t.warnings = append(t.warnings, fmt.Sprintf("%s: column %s (%s) can hold NaN, which Avro decimals cannot: a row with it is parked", t.table, c.name, c.typ))
		}
	}
}

func avroNamespace(prefix string, t schemas.Table) string {
	parts := ""
	start := 0
	for i := 0; i <= len(prefix); i++ {
		if i == len(prefix) || prefix[i] == '.' {
			parts += avroName(prefix[start:i]) + "."
			start = i + 1
		}
	}
	return parts + avroName(t.Schema) + "." + avroName(t.Name)
}

// KeySchema is the Avro schema of record keys, as JSON.
func (t *Table) KeySchema() string { return t.keyText }

// ValueSchema is the Avro schema of record values, as JSON.
func (t *Table) ValueSchema() string { return t.value }

// Warnings say what a reader of these topics should know: types that travel as
// text, columns whose special values cannot travel.
func (t *Table) Warnings() []string { return append([]string(nil), t.warnings...) }

// AppendKey adds a record key in Confluent's wire format. row needs the key's
// columns only. On an error dst comes back as it was; errors of values are
// *NullError and *ValueError.
func (t *Table) AppendKey(dst []byte, schemaID int, row schemas.Row) ([]byte, error) {
	start := len(dst)
	if err := t.check(row); err != nil {
		return dst, err
	}
	dst = appendFrame(dst, schemaID)
	for _, i := range t.key {
		if row[i].State == schemas.Absent || row[i].State == schemas.Unchanged {
			return dst[:start], fmt.Errorf("%s: key column %s has no value in this image", t.table, t.columns[i].name)
		}
		var err error
		if dst, err = t.columns[i].append(dst, row[i]); err != nil {
			return dst[:start], t.explain(i, err)
		}
	}
	return dst, nil
}

// AppendValue adds an envelope in Confluent's wire format; now is its processing
// time. The old image is written for deletes, and for updates only under REPLICA
// IDENTITY FULL, as Debezium does; a change of the key is the caller's to split into
// a delete and a create. On an error dst comes back as it was; errors of values are
// *NullError and *ValueError.
func (t *Table) AppendValue(dst []byte, schemaID int, ch *schemas.Change, now time.Time) ([]byte, error) {
	start := len(dst)
	before, after := ch.Old, ch.New
	switch {
	case ch.Op == schemas.Delete:
		after = nil
	case ch.Op != schemas.Update || !t.full:
		before = nil
	}
	if ch.Op == schemas.Delete && before == nil || ch.Op != schemas.Delete && after == nil {
		return dst, fmt.Errorf("%s: a change with op %c lacks its image", t.table, ch.Op)
	}
	dst = appendFrame(dst, schemaID)
	dst, err := t.appendImage(dst, before)
	if err != nil {
		return dst[:start], err
	}
	if dst, err = t.appendImage(dst, after); err != nil {
		return dst[:start], err
	}
	dst = t.appendSource(dst, ch)
	dst = append(dst, 0, 2, byte(ch.Op)) // no transaction block; op, a string of one byte
	return appendTimes(dst, now, true), nil
}

func (t *Table) appendImage(dst []byte, row schemas.Row) ([]byte, error) {
	if row == nil {
		return append(dst, 0), nil
	}
	if err := t.check(row); err != nil {
		return dst, err
	}
	dst = append(dst, 2)
	for i := range t.columns {
		var err error
		if dst, err = t.columns[i].append(dst, row[i]); err != nil {
			return dst, t.explain(i, err)
		}
	}
	return dst, nil
}

func (t *Table) check(row schemas.Row) error {
	if len(row) != len(t.columns) {
		return fmt.Errorf("%s: a row of %d values for %d columns: the relation has changed and must be derived again", t.table, len(row), len(t.columns))
	}
	return nil
}

// explain names the column of an error. // hazard S24
func (t *Table) explain(i int, err error) error {
	if errors.Is(err, errNull) {
		return &NullError{Table: t.table, Column: t.columns[i].name, Index: i}
	}
	return &ValueError{Table: t.table, Column: t.columns[i].name, Type: t.columns[i].typ, Reason: err}
}

func (t *Table) appendSource(dst []byte, ch *schemas.Change) []byte {
	dst = append(dst, t.head...)
	dst = appendLong(dst, ch.CommitTime.UnixMilli())
	snapshot := "false"
	if ch.Op == schemas.Read {
		snapshot = "true"
	}
	dst = appendString(append(dst, 0), snapshot)
	dst = append(dst, t.database...)
	dst = append(dst, 2)
	start := len(dst)
	dst = strconv.AppendUint(append(dst, `["`...), uint64(ch.Version.Commit), 10)
	dst = strconv.AppendUint(append(dst, `","`...), uint64(ch.Version.Change), 10)
	dst = insertLength(append(dst, `"]`...), start)
	dst = appendTimes(dst, ch.CommitTime, false)
	dst = append(dst, t.names...)
	if ch.XID == 0 {
		dst = append(dst, 0)
	} else {
		dst = appendLong(append(dst, 2), int64(ch.XID))
	}
	dst = appendLong(append(dst, 2), int64(ch.Version.Commit))
	return append(dst, 0, 0, 0) // xmin, origin, origin_lsn
}

// appendTimes writes optional longs: milliseconds where asked, micro- and nanoseconds.
func appendTimes(dst []byte, at time.Time, millis bool) []byte {
	if millis {
		dst = appendLong(append(dst, 2), at.UnixMilli())
	}
	dst = appendLong(append(dst, 2), at.UnixMicro())
	return appendLong(append(dst, 2), at.UnixNano())
}
