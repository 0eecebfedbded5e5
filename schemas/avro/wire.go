package avro

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// frameSize is Confluent's header: a zero byte and the schema's id.
const frameSize = 5

// SchemaID splits a record in Confluent's wire format into its schema id and body.
func SchemaID(b []byte) (id int, body []byte, err error) {
	if len(b) < frameSize || b[0] != 0 {
		return 0, nil, fmt.Errorf("read schema id: the record of %d bytes does not begin with a zero byte and a 4-byte id, so it was not written through a Confluent serialiser", len(b))
	}
	return int(binary.BigEndian.Uint32(b[1:])), b[frameSize:], nil
}

func appendFrame(dst []byte, id int) []byte {
	dst = append(dst, 0)
	return binary.BigEndian.AppendUint32(dst, uint32(id))
}

// appendLong is Avro's int and long: zigzag, then base 128.
func appendLong(dst []byte, v int64) []byte {
	return binary.AppendUvarint(dst, uint64(v)<<1^uint64(v>>63))
}

func appendBytes(dst, b []byte) []byte { return append(appendLong(dst, int64(len(b))), b...) }

func appendString(dst []byte, s string) []byte { return append(appendLong(dst, int64(len(s))), s...) }

// insertLength puts the Avro length before dst[start:], which was written first
// because its length was not known.
func insertLength(dst []byte, start int) []byte {
	var prefix [binary.MaxVarintLen64]byte
	n := len(dst) - start
	k := len(appendLong(prefix[:0], int64(n)))
	dst = append(dst, prefix[:k]...)
	copy(dst[start+k:], dst[start:start+n])
	copy(dst[start:], prefix[:k])
	return dst
}

var errShort = errors.New("the record ends before its schema does")

// cursor reads Avro's binary form. The first error sticks; reads after it return zeros.
type cursor struct {
	b   []byte
	pos int
	err error
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.pos = len(c.b)
}

func (c *cursor) long() int64 {
	if c.pos < len(c.b) && c.b[c.pos] < 0x80 { // one byte: most lengths and branches
		u := c.b[c.pos]
		c.pos++
		return int64(u>>1) ^ -int64(u&1)
	}
	u, n := binary.Uvarint(c.b[c.pos:])
	if n <= 0 {
		c.fail(errShort)
		return 0
	}
	c.pos += n
	return int64(u>>1) ^ -int64(u&1)
}

// take returns the next n bytes, aliasing the record.
func (c *cursor) take(n int64) []byte {
	if n < 0 || n > int64(len(c.b)-c.pos) {
		c.fail(errShort)
		return nil
	}
	b := c.b[c.pos : c.pos+int(n) : c.pos+int(n)]
	c.pos += int(n)
	return b
}

func (c *cursor) bytes() []byte { return c.take(c.long()) }

func (c *cursor) boolean() bool {
	b := c.take(1)
	return len(b) == 1 && b[0] != 0
}

func (c *cursor) float() float32 {
	b := c.take(4)
	if len(b) < 4 {
		return 0
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(b))
}

func (c *cursor) double() float64 {
	b := c.take(8)
	if len(b) < 8 {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// block reads the count of an array's or map's next block; 0 ends it.
func (c *cursor) block() int64 {
	n := c.long()
	if n < 0 { // followed by the block's size in bytes
		c.long()
		n = -n
	}
	if n < 0 || n > int64(len(c.b)) && n > math.MaxInt32 {
		c.fail(errShort)
		return 0
	}
	return n
}
