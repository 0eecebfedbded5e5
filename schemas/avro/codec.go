package avro

import (
	"bytes"
	"encoding/hex"
	"strconv"
)

// placeholder is what Debezium writes for a TOASTed value that a change did not
// touch (unavailable.value.placeholder).
const placeholder = "__debezium_unavailable_value"

// codec is one PostgreSQL type's form in Avro.
type codec struct {
	schema *node
	// append writes the Avro form of a value's text. On an error dst's content past
	// its former length is undefined.
	append func(dst, text []byte) ([]byte, error)
	// text writes the PostgreSQL text of the value at the cursor.
	text func(dst []byte, in *cursor) []byte
	// same: the Avro form is a string that is the text.
	same bool
	// zero is what a key-only old image holds for a column that is NOT NULL.
	zero []byte
	// unavailable is the Avro form of an unchanged TOAST value; nil where there is none.
	unavailable []byte
	// element writes a code point of the placeholder as an element of an array, for
	// types whose arrays can be TOASTed although they themselves cannot.
	element func(dst []byte, point rune) []byte
	// warning says how the type's form departs from what a reader may expect.
	warning string
}

// textCodec is a type that travels as its own text.
func textCodec(schema *node) codec {
	return codec{
		schema:      schema,
		append:      func(dst, text []byte) ([]byte, error) { return appendBytes(dst, text), nil },
		text:        func(dst []byte, in *cursor) []byte { return append(dst, in.bytes()...) },
		same:        true,
		zero:        appendString(nil, ""),
		unavailable: appendString(nil, placeholder),
	}
}

// uuidCodec is textCodec with Debezium's placeholder for elements of uuid arrays:
// the version 3 UUID of the placeholder's bytes.
func uuidCodec() codec {
	c := textCodec(semantic("string", "io.debezium.data.Uuid"))
	c.unavailable = appendString(nil, placeholderUUID)
	return c
}

const placeholderUUID = "b68a35a7-17ad-35b3-af2a-ae46edb4545a"

func boolCodec() codec {
	return codec{
		schema: primitive("boolean"),
		append: func(dst, text []byte) ([]byte, error) {
			switch string(text) {
			case "t":
				return append(dst, 1), nil
			case "f":
				return append(dst, 0), nil
			}
			return dst, ErrSyntax
		},
		text: func(dst []byte, in *cursor) []byte {
			if in.boolean() {
				return append(dst, 't')
			}
			return append(dst, 'f')
		},
		zero:    []byte{0},
		element: func(dst []byte, point rune) []byte { return append(dst, byte(point&1)) },
	}
}

// bitCodec is bit(1), a boolean in Debezium.
func bitCodec() codec {
	c := boolCodec()
	c.schema = &node{kind: "boolean", pgType: "bit"}
	c.append = func(dst, text []byte) ([]byte, error) {
		if len(text) != 1 || text[0] != '0' && text[0] != '1' {
			return dst, ErrSyntax
		}
		return append(dst, text[0]-'0'), nil
	}
	c.text = func(dst []byte, in *cursor) []byte {
		if in.boolean() {
			return append(dst, '1')
		}
		return append(dst, '0')
	}
	return c
}

// bitsCodec is bit(n): the bits as a little-endian number without leading zero bytes.
func bitsCodec(n int) codec {
	return codec{
		schema: semantic("bytes", "io.debezium.data.Bits", parameter{"length", strconv.Itoa(n)}),
		append: func(dst, text []byte) ([]byte, error) {
			if len(text) != n {
				return dst, ErrSyntax
			}
			first := bytes.IndexByte(text, '1')
			if first < 0 {
				first = n
			}
			size := (n - first + 7) / 8
			dst = appendLong(dst, int64(size))
			start := len(dst)
			dst = append(dst, make([]byte, size)...)
			for i := range text {
				switch bit := n - 1 - i; text[i] {
				case '1':
					dst[start+bit/8] |= 1 << (bit % 8)
				case '0':
				default:
					return dst, ErrSyntax
				}
			}
			return dst, nil
		},
		text: func(dst []byte, in *cursor) []byte {
			b := in.bytes()
			for bit := n - 1; bit >= 0; bit-- {
				if bit/8 < len(b) && b[bit/8]&(1<<(bit%8)) != 0 {
					dst = append(dst, '1')
				} else {
					dst = append(dst, '0')
				}
			}
			return dst
		},
		zero:        appendBytes(nil, nil),
		unavailable: appendString(nil, placeholder),
	}
}

// longestBits is PostgreSQL's bound on the length of a bit string.
const longestBits = 83886080

// significantBits reads Debezium's bit varying without a length, whose leading
// zeros are lost; it is never written.
func significantBits() codec {
	c := bitsCodec(1)
	c.text = func(dst []byte, in *cursor) []byte {
		b := in.bytes()
		started := false
		for bit := 8*len(b) - 1; bit >= 0; bit-- {
			one := b[bit/8]&(1<<(bit%8)) != 0
			if started = started || one; !started {
				continue
			}
			dst = append(dst, '0')
			if one {
				dst[len(dst)-1] = '1'
			}
		}
		return dst
	}
	return c
}

// byteaCodec reads the hex form (bytea_output=hex).
func byteaCodec() codec {
	return codec{
		schema: primitive("bytes"),
		append: func(dst, text []byte) ([]byte, error) {
			if len(text) < 2 || text[0] != '\\' || text[1] != 'x' || len(text)%2 != 0 {
				return dst, ErrSyntax
			}
			dst = appendLong(dst, int64(len(text)/2-1))
			dst, err := hex.AppendDecode(dst, text[2:])
			if err != nil {
				return dst, ErrSyntax
			}
			return dst, nil
		},
		text: func(dst []byte, in *cursor) []byte {
			return hex.AppendEncode(append(dst, '\\', 'x'), in.bytes())
		},
		zero:        appendBytes(nil, nil),
		unavailable: appendString(nil, placeholder),
	}
}

// enumCodec is an enum: its label, with all labels in their sort order as a parameter.
func enumCodec(labels []string) codec {
	allowed := make([]byte, 0, 16*len(labels))
	for i, l := range labels {
		if i > 0 {
			allowed = append(allowed, ',')
		}
		allowed = append(allowed, l...)
	}
	return textCodec(semantic("string", "io.debezium.data.Enum", parameter{"allowed", string(allowed)}))
}
