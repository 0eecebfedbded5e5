package backfill

import (
	"bytes"
	"fmt"

	"github.com/backstitch/backstitch/schemas"
)

// Chunks of the arenas that rows are cut from.
const (
	textChunk  = 256 << 10
	valueChunk = 8192
)

// buffer holds the rows of one range. Everything is cut from chunks that serve
// the next range again, so that a row costs no allocation of its own.
type buffer struct {
	rows   []schemas.Row
	bytes  int
	text   arena[byte]
	values arena[schemas.Value]
}

func (b *buffer) reset() {
	b.rows, b.bytes = b.rows[:0], 0
	b.text.reset()
	b.values.reset()
}

// add decodes a line of COPY's text format into a row that aliases the buffer.
func (b *buffer) add(line []byte, columns int) error {
	text := b.text.take(len(line), textChunk)
	copy(text, line)
	row := b.values.take(columns, valueChunk)
	if !splitRow(row, text) {
		return fmt.Errorf("a row of the COPY does not have %d columns", columns)
	}
	b.rows = append(b.rows, row)
	b.bytes += len(line)
	return nil
}

// splitRow cuts a line at its tabs and undoes the escapes in place. It reports
// whether the line has as many values as the row.
func splitRow(row schemas.Row, line []byte) bool {
	escaped := bytes.IndexByte(line, '\\') >= 0
	for i := range row {
		field := line
		if end := bytes.IndexByte(line, '\t'); end >= 0 {
			if i == len(row)-1 {
				return false
			}
			field, line = line[:end:end], line[end+1:]
		} else if i < len(row)-1 {
			return false
		}
		row[i] = schemas.Value{State: schemas.Text, Data: field}
		if escaped {
			row[i] = unescape(field)
		}
	}
	return len(row) > 0 || len(line) == 0
}

func unescape(field []byte) schemas.Value {
	at := bytes.IndexByte(field, '\\')
	if at < 0 {
		return schemas.Value{State: schemas.Text, Data: field}
	}
	if len(field) == 2 && field[1] == 'N' {
		return schemas.Value{State: schemas.Null}
	}
	out := at
	for in := at; in < len(field); in++ {
		c := field[in]
		if c == '\\' && in+1 < len(field) {
			in++
			if c = field[in]; escapes[c] != 0 {
				c = escapes[c]
			}
		}
		field[out] = c
		out++
	}
	return schemas.Value{State: schemas.Text, Data: field[:out:out]}
}

// escapes are the letters that COPY TO writes behind a backslash; any other
// character stands for itself.
var escapes = [256]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

// arena cuts slices from chunks of a fixed size and keeps the chunks.
type arena[T any] struct {
	chunks [][]T
	used   int // chunks taken; the last of them is in use
	free   []T
}

// take returns n elements, whose content is undefined.
func (a *arena[T]) take(n, chunk int) []T {
	if n > len(a.free) {
		if n > chunk {
			return make([]T, n) // an exception, left to the garbage collector
		}
		if a.used == len(a.chunks) {
			a.chunks = append(a.chunks, make([]T, chunk))
		}
		a.free = a.chunks[a.used]
		a.used++
	}
	s := a.free[:n:n]
	a.free = a.free[n:]
	return s
}

func (a *arena[T]) reset() { a.used, a.free = 0, nil }
