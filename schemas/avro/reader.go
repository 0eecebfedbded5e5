package avro

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/backstitch/backstitch/schemas"
)

// reader decodes one column of a writer's schema.
type reader struct {
	name string
	// codecs has one codec per branch of the column's union, nil for null; a bare
	// type has one codec and union is false.
	codecs []*codec
	union  bool
}

func newReader(f field) (reader, error) {
	r := reader{name: f.name, union: f.node.kind == "union"}
	if f.column != "" {
		r.name = f.column
	}
	branches := []*node{f.node}
	if r.union {
		branches = f.node.branches
	}
	for _, b := range branches {
		if b.kind == "null" {
			r.codecs = append(r.codecs, nil)
			continue
		}
		c, err := codecFor(b)
		if err != nil {
			return r, fmt.Errorf("column %s: %w", r.name, err)
		}
		r.codecs = append(r.codecs, &c)
	}
	return r, nil
}

// read decodes the column at the cursor. Its data aliases the record or arena.
func (r *reader) read(arena []byte, in *cursor) (schemas.Value, []byte) {
	branch := int64(0)
	if r.union {
		branch = in.long()
	}
	if branch < 0 || branch >= int64(len(r.codecs)) {
		in.fail(errForm("a branch of a union"))
		return schemas.Value{}, arena
	}
	c := r.codecs[branch]
	if c == nil {
		return schemas.Value{State: schemas.Null}, arena
	}
	from := in.pos
	if c.unavailable != nil && bytes.HasPrefix(in.b[from:], c.unavailable) {
		in.pos += len(c.unavailable)
		return schemas.Value{State: schemas.Unchanged}, arena
	}
	if c.same {
		return schemas.Value{State: schemas.Text, Data: in.bytes()}, arena
	}
	start := len(arena)
	arena = c.text(arena, in)
	return schemas.Value{State: schemas.Text, Data: arena[start:len(arena):len(arena)]}, arena
}

// codecFor finds how to print a value of a writer's type: by our own attribute, by
// Debezium's name, else by the Avro type.
func codecFor(n *node) (codec, error) {
	switch n.pgType {
	case "bit":
		return bitCodec(), nil
	case "money":
		return moneyCodec(), nil
	case "hstore":
		return hstoreCodec(), nil
	}
	if c, ok, err := semanticCodec(n); ok || err != nil {
		return c, err
	}
	switch n.kind {
	case "boolean":
		return boolCodec(), nil
	case "int", "long":
		return intCodec(n, 64), nil
	case "float":
		return floatCodec(32), nil
	case "double":
		return floatCodec(64), nil
	case "bytes":
		return byteaCodec(), nil
	case "string":
		return textCodec(n), nil
	case "array":
		return arrayFor(n)
	}
	return codec{}, fmt.Errorf("no PostgreSQL type travels as an Avro %s %s", n.kind, n.connect.name)
}

func semanticCodec(n *node) (codec, bool, error) {
	switch n.connect.name {
	case "io.debezium.time.Date", "org.apache.kafka.connect.data.Date":
		return dateCodec(), true, nil
	case "io.debezium.time.Time":
		return timeCodec(millisPrecision), true, nil
	case "io.debezium.time.MicroTime":
		return timeCodec(millisPrecision + 1), true, nil
	case "io.debezium.time.Timestamp":
		return timestampCodec(millisPrecision), true, nil
	case "io.debezium.time.MicroTimestamp":
		return timestampCodec(millisPrecision + 1), true, nil
	case "io.debezium.time.ZonedTimestamp":
		return zonedTimestampCodec(), true, nil
	case "io.debezium.time.ZonedTime":
		return zonedTimeCodec(), true, nil
	case "io.debezium.time.Interval":
		return intervalCodec(), true, nil
	case "io.debezium.time.MicroDuration":
		return microDurationCodec(), true, nil
	case "org.apache.kafka.connect.data.Decimal":
		return decimalFor(n)
	case "io.debezium.data.VariableScaleDecimal":
		return variableScaleCodec(), true, nil
	case "io.debezium.data.Uuid":
		return uuidCodec(), true, nil
	case "io.debezium.data.geometry.Point":
		return pointCodec(), true, nil
	case "io.debezium.data.Bits":
		length, err := strconv.Atoi(n.parameter("length"))
		if err != nil || length < 1 {
			return codec{}, false, fmt.Errorf("the type io.debezium.data.Bits has no length")
		}
		if length > longestBits { // Debezium's bit varying without a length
			return significantBits(), true, nil
		}
		return bitsCodec(length), true, nil
	}
	return codec{}, false, nil
}

func decimalFor(n *node) (codec, bool, error) {
	scale := n.scale
	if s := n.parameter("scale"); s != "" {
		var err error
		if scale, err = strconv.Atoi(s); err != nil {
			return codec{}, false, fmt.Errorf("a decimal's scale is no number")
		}
	}
	return decimalCodec(max(n.precision, scale), scale), true, nil
}

func arrayFor(n *node) (codec, error) {
	items, bare := n.items, true
	if items.kind == "union" {
		if len(items.branches) != 2 || items.branches[0].kind != "null" {
			return codec{}, fmt.Errorf("an array's items are neither a type nor null or a type")
		}
		items, bare = items.branches[1], false
	}
	elem, err := codecFor(items)
	if err != nil {
		return codec{}, err
	}
	c := arrayCodec(elem)
	if bare {
		c.text = func(dst []byte, in *cursor) []byte { return appendArrayText(dst, in, elem, true) }
		c.unavailable = nil
	}
	return c, nil
}
