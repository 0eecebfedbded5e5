package avro

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

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
		var n int
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
		var n int
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
