package avro

import "bytes"

// arrayCodec is a one-dimensional array of elements that may be null.
func arrayCodec(elem codec) codec {
	return codec{
		schema:      &node{kind: "array", items: optional(elem.schema)},
		append:      func(dst, text []byte) ([]byte, error) { return appendArray(dst, text, elem) },
		text:        func(dst []byte, in *cursor) []byte { return appendArrayText(dst, in, elem, false) },
		zero:        []byte{0},
		unavailable: unavailableArray(elem),
		warning:     elem.warning,
	}
}

// unavailableArray is the placeholder as an array: of one text, or of its code points.
func unavailableArray(elem codec) []byte {
	if elem.unavailable != nil {
		return append(append([]byte{2, 2}, elem.unavailable...), 0)
	}
	b := appendLong(nil, int64(len(placeholder)))
	for _, point := range placeholder {
		b = elem.element(append(b, 2), point)
	}
	return append(b, 0)
}

// appendArray goes over the text twice: Avro wants the count first.
func appendArray(dst, text []byte, elem codec) ([]byte, error) {
	if len(text) > 0 && text[0] == '[' {
		return dst, ErrDimensions
	}
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return dst, ErrSyntax
	}
	text = text[1 : len(text)-1]
	if len(text) == 0 {
		return append(dst, 0), nil
	}
	count, err := countElements(text)
	if err != nil {
		return dst, err
	}
	dst = appendLong(dst, count)
	for len(text) > 0 {
		item, n, quoted, escaped := nextElement(text)
		switch {
		case !quoted && string(item) == "NULL":
			dst = append(dst, 0)
		case escaped:
			dst, err = appendEscaped(append(dst, 2), item, elem)
		default:
			dst, err = elem.append(append(dst, 2), item)
		}
		if err != nil {
			return dst, err
		}
		text = text[min(n+1, len(text)):]
	}
	return append(dst, 0), nil
}

func countElements(text []byte) (int64, error) {
	count, quoted := int64(1), false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			return 0, ErrDimensions
		case c == ',':
			count++
		}
	}
	if quoted || text[len(text)-1] == ',' {
		return 0, ErrSyntax
	}
	return count, nil
}

// nextElement splits off the first element, without its quotes; n is where the
// delimiter after it is.
func nextElement(text []byte) (item []byte, n int, quoted, escaped bool) {
	if text[0] != '"' {
		n = bytes.IndexByte(text, ',')
		if n < 0 {
			n = len(text)
		}
		return text[:n], n, false, bytes.IndexByte(text[:n], '\\') >= 0
	}
	for n = 1; n < len(text) && text[n] != '"'; n++ {
		if text[n] == '\\' {
			escaped = true
			n++
		}
	}
	return text[1:min(n, len(text))], n + 1, true, escaped
}

// appendEscaped writes an element whose text has backslashes. The plain text stands
// at the end of dst until the element is written, so that nothing is allocated.
func appendEscaped(dst, item []byte, elem codec) ([]byte, error) {
	start := len(dst)
	for i := 0; i < len(item); i++ {
		if item[i] == '\\' && i+1 < len(item) {
			i++
		}
		dst = append(dst, item[i])
	}
	plain := dst[start:]
	dst, err := elem.append(dst, plain)
	if err != nil {
		return dst, err
	}
	n := copy(dst[start:], dst[start+len(plain):])
	return dst[:start+n], nil
}

// appendArrayText prints an array as array_out does. bare: the items are no union.
func appendArrayText(dst []byte, in *cursor, elem codec, bare bool) []byte {
	dst = append(dst, '{')
	first := true
	for n := in.block(); n > 0; n = in.block() {
		for range n {
			if in.err != nil {
				return dst
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			if !bare && in.long() == 0 {
				dst = append(dst, "NULL"...)
				continue
			}
			start := len(dst)
			dst = quoteElement(elem.text(dst, in), start)
		}
	}
	return append(dst, '}')
}

// quoteElement quotes the element at dst[start:] where array_out would.
func quoteElement(dst []byte, start int) []byte {
	item := dst[start:]
	escapes, quotes := 0, len(item) == 0 || len(item) == 4 && bytes.EqualFold(item, []byte("NULL"))
	for _, c := range item {
		switch c {
		case '"', '\\':
			escapes++
		case '{', '}', ',', ' ', '\t', '\n', '\r', '\v', '\f':
			quotes = true
		}
	}
	if !quotes && escapes == 0 {
		return dst
	}
	end := len(dst) + escapes + 2
	for range escapes + 2 {
		dst = append(dst, 0)
	}
	from, to := end-escapes-3, end-1
	dst[to] = '"'
	for to--; from >= start; from-- {
		c := dst[from]
		dst[to] = c
		to--
		if c == '"' || c == '\\' {
			dst[to] = '\\'
			to--
		}
	}
	dst[start] = '"'
	return dst
}
