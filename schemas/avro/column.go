package avro

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/backstitch/backstitch/schemas"
)

// column is a compiled column of a table.
type column struct {
	name     string
	typ      string
	codec    codec
	nullable bool
	// present and null are the branches of the column's union; present is empty for
	// a bare type.
	present, null []byte
	// absent is what a key-only old image holds for this column.
	absent []byte
}

// newColumn compiles a column and describes it. A constant default stands first in
// a nullable column's union, as Avro demands; a default that is no constant is, for
// a NOT NULL column, the type's zero, as in Debezium.
func newColumn(c schemas.Column) (column, field, string) {
	col := column{name: c.Name, typ: typeName(c.Type), codec: codecOf(c.Type), nullable: !c.NotNull}
	warning := col.codec.warning
	avro := col.codec.zero
	var def json.RawMessage
	switch {
	case c.HasDefault && !c.Volatile:
		value, err := col.codec.append(nil, []byte(c.Default))
		if err == nil {
			avro, def = value, defaultJSON(col.codec.schema, value)
		} else if warning == "" {
			warning = fmt.Sprintf("its default is left out of the schema: %v", err)
		}
	case c.HasDefault && c.NotNull:
		def = defaultJSON(col.codec.schema, avro)
	}
	n := col.codec.schema
	if def != nil {
		withDefault := *n
		withDefault.connect.def = def
		n = &withDefault
	}
	f := field{name: avroName(c.Name), def: def}
	if f.name != c.Name {
		f.column = c.Name
	}
	switch {
	case !col.nullable:
		f.node, col.absent = n, avro
	case def != nil:
		f.node = &node{kind: "union", branches: []*node{n, primitive("null")}}
		col.present, col.null = []byte{0}, []byte{2}
		col.absent = col.null
	default:
		f.node, f.def = optional(n), jsonNull
		col.present, col.null = []byte{2}, []byte{0}
		col.absent = col.null
	}
	return col, f, warning
}

// append writes one value. Only an old image may have absent columns.
func (c *column) append(dst []byte, v schemas.Value) ([]byte, error) {
	switch v.State {
	case schemas.Text:
		dst = append(dst, c.present...)
		start := len(dst)
		dst, err := c.codec.append(dst, v.Data)
		if err == nil && c.codec.unavailable != nil && bytes.Equal(dst[start:], c.codec.unavailable) {
			err = ErrPlaceholder
		}
		return dst, err
	case schemas.Null:
		if !c.nullable {
			return dst, errNull
		}
		return append(dst, c.null...), nil
	case schemas.Unchanged:
		if c.codec.unavailable == nil {
			return dst, ErrUnchanged
		}
		return append(append(dst, c.present...), c.codec.unavailable...), nil
	default:
		return append(dst, c.absent...), nil
	}
}

// defaultJSON is the JSON form of a default's Avro form, nil where there is none.
func defaultJSON(n *node, avro []byte) json.RawMessage {
	in := &cursor{b: avro}
	switch n.kind {
	case "boolean":
		return strconv.AppendBool(nil, in.boolean())
	case "int", "long":
		return strconv.AppendInt(nil, in.long(), 10)
	case "float":
		return finite(float64(in.float()), 32)
	case "double":
		return finite(in.double(), 64)
	case "string":
		return quote(string(in.bytes()))
	case "bytes": // a code point per byte
		var text []byte
		for _, b := range in.bytes() {
			text = utf8.AppendRune(text, rune(b))
		}
		return quote(string(text))
	case "array":
		if in.long() == 0 {
			return json.RawMessage("[]")
		}
	}
	return nil
}

func finite(v float64, bits int) json.RawMessage {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return strconv.AppendFloat(nil, v, 'g', -1, bits)
}

// avroName replaces what Avro forbids in a name by underscores, as Debezium's name
// adjustment mode avro does.
func avroName(name string) string {
	b := make([]byte, 0, len(name)+1)
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		digit := r >= '0' && r <= '9'
		switch {
		case letter || digit && i > 0:
			b = append(b, byte(r))
		default:
			b = append(b, '_')
		}
	}
	return string(b)
}
