package avro

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"unicode/utf8"
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

// hstoreCodec is hstore as a JSON object in its own order (hstore.handling.mode=json).
func hstoreCodec() codec {
	schema := semantic("string", "io.debezium.data.Json")
	schema.pgType = "hstore"
	return codec{
		schema: schema,
		append: func(dst, text []byte) ([]byte, error) {
			start := len(dst)
			dst, ok := appendHstoreJSON(dst, text)
			if !ok {
				return dst, ErrSyntax
			}
			return insertLength(dst, start), nil
		},
		text: func(dst []byte, in *cursor) []byte {
			dst, ok := appendHstoreText(dst, in.bytes())
			if !ok {
				in.fail(errForm("an hstore's JSON object"))
			}
			return dst
		},
		zero:        appendString(nil, "{}"),
		unavailable: appendString(nil, `{"`+placeholder+`":"`+placeholder+`"}`),
	}
}

func appendHstoreJSON(dst, text []byte) (_ []byte, ok bool) {
	dst = append(dst, '{')
	for i := 0; i < len(text); {
		if i > 0 {
			if !bytes.HasPrefix(text[i:], []byte(", ")) {
				return dst, false
			}
			i += 2
			dst = append(dst, ',')
		}
		n := 0
		if dst, n = requote(dst, text[i:]); n == 0 {
			return dst, false
		}
		i += n
		if !bytes.HasPrefix(text[i:], []byte("=>")) {
			return dst, false
		}
		i += 2
		dst = append(dst, ':')
		if bytes.HasPrefix(text[i:], []byte("NULL")) {
			dst = append(dst, "null"...)
			i += 4
			continue
		}
		if dst, n = requote(dst, text[i:]); n == 0 {
			return dst, false
		}
		i += n
	}
	return append(dst, '}'), true
}

// requote copies hstore's quoted string at the beginning of text as a JSON string
// and returns the length that it took, 0 if there is none.
func requote(dst, text []byte) (_ []byte, n int) {
	if len(text) == 0 || text[0] != '"' {
		return dst, 0
	}
	dst = append(dst, '"')
	for i := 1; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"':
			return append(dst, '"'), i + 1
		case c == '\\' && i+1 < len(text):
			i++
			dst = appendJSONByte(dst, text[i])
		default:
			dst = appendJSONByte(dst, c)
		}
	}
	return dst, 0
}

func appendJSONByte(dst []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	switch {
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c >= 0x20:
		return append(dst, c)
	}
	if i := bytes.IndexByte([]byte("\b\f\n\r\t"), c); i >= 0 {
		return append(dst, '\\', "bfnrt"[i])
	}
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
}

func appendHstoreText(dst, text []byte) (_ []byte, ok bool) {
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return dst, false
	}
	text = text[1 : len(text)-1]
	for i := 0; i < len(text); {
		if i > 0 {
			if text[i] != ',' {
				return dst, false
			}
			i++
			dst = append(dst, ", "...)
		}
		n := 0
		if dst, n = unquoteJSON(dst, text[i:]); n == 0 || i+n >= len(text) || text[i+n] != ':' {
			return dst, false
		}
		i += n + 1
		dst = append(dst, "=>"...)
		if bytes.HasPrefix(text[i:], []byte("null")) {
			dst = append(dst, "NULL"...)
			i += 4
			continue
		}
		if dst, n = unquoteJSON(dst, text[i:]); n == 0 {
			return dst, false
		}
		i += n
	}
	return dst, true
}

// unquoteJSON copies the JSON string at the beginning of text as hstore's quoted string.
func unquoteJSON(dst, text []byte) (_ []byte, n int) {
	if len(text) == 0 || text[0] != '"' {
		return dst, 0
	}
	dst = append(dst, '"')
	for i := 1; i < len(text); i++ {
		c := text[i]
		if c == '"' {
			return append(dst, '"'), i + 1
		}
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		if i++; i == len(text) {
			return dst, 0
		}
		switch c = text[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '/':
			dst = append(dst, c)
		case 'u':
			if i+4 >= len(text) {
				return dst, 0
			}
			r, err := strconv.ParseUint(string(text[i+1:i+5]), 16, 16)
			if err != nil || r >= 0xd800 && r < 0xe000 { // UTF-8 needs no surrogates in JSON
				return dst, 0
			}
			dst = utf8.AppendRune(dst, rune(r))
			i += 4
		default:
			j := bytes.IndexByte([]byte("bfnrt"), c)
			if j < 0 {
				return dst, 0
			}
			dst = append(dst, "\b\f\n\r\t"[j])
		}
	}
	return dst, 0
}
