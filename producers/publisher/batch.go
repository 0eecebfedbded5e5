package publisher

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/schemas"
)

const (
	slabSize    = 1 << 20
	slabReserve = 4 << 10 // less than this left: take the next slab
	chunkSize   = 2048    // records of a chunk
	// recordOverhead is more than what a record adds to its key, value and headers in
	// a record batch that holds it alone.
	recordOverhead = 256
)

// Batch is the content of one Kafka transaction. Keys and values are slices of its
// slabs: per record nothing is allocated. It is filled by one goroutine, handed
// over, and reused after its transaction.
type Batch struct {
	chunks  [][]kgo.Record
	records int
	bytes   int

	headers []kgo.RecordHeader
	slabs   [][]byte
	slab    int // the slab in use

	control []*kgo.Record
	// Position and Backfill are what the checkpoint of the batch will say.
	Position schemas.Position
	Backfill schemas.Backfill
	// Source is the identity that the checkpoint will say.
	Source schemas.Source
	// Creating marks the record that precedes a slot's creation (hazard S12).
	Creating bool
}

// Records is how many records of data topics the batch holds.
func (b *Batch) Records() int { return b.records }

// Bytes is the size of their keys, values and headers.
func (b *Batch) Bytes() int { return b.bytes }

// Control adds a record to the checkpoints topic, before the checkpoint; a nil
// value is a tombstone.
func (b *Batch) Control(key string, value []byte) {
	b.control = append(b.control, &kgo.Record{Key: []byte(key), Value: value})
}

// Controls is how many control records the batch holds.
func (b *Batch) Controls() int { return len(b.control) }

func (b *Batch) reset() {
	for i := range b.chunks {
		clear(b.chunks[i])
		b.chunks[i] = b.chunks[i][:0]
	}
	for i := range b.slabs {
		b.slabs[i] = b.slabs[i][:0]
	}
	*b = Batch{chunks: b.chunks, slabs: b.slabs}
}

// space is where the next key or value is appended. It must be given back with
// keep.
func (b *Batch) space() []byte {
	for {
		if b.slab == len(b.slabs) {
			b.slabs = append(b.slabs, make([]byte, 0, slabSize))
		}
		s := b.slabs[b.slab]
		if cap(s)-len(s) >= slabReserve {
			return s[len(s):len(s):cap(s)]
		}
		b.slab++
	}
}

// keep takes what was appended to a space and returns it, sealed.
func (b *Batch) keep(v []byte) []byte {
	s := b.slabs[b.slab]
	if len(v) <= cap(s)-len(s) {
		// An append that outgrew the slab has moved to memory of its own.
		b.slabs[b.slab] = s[:len(s)+len(v)]
	}
	return v[:len(v):len(v)]
}

func (b *Batch) add(topic string, partition int32, key, value []byte, headers []kgo.RecordHeader) {
	i := b.records / chunkSize
	if i == len(b.chunks) {
		b.chunks = append(b.chunks, make([]kgo.Record, 0, chunkSize))
	}
	b.chunks[i] = append(b.chunks[i], kgo.Record{Topic: topic, Partition: partition, Key: key, Value: value, Headers: headers})
	b.records++
	b.bytes += len(key) + len(value)
	for _, h := range headers {
		b.bytes += len(h.Key) + len(h.Value)
	}
}

const headerChunk = 4096

// header returns a slice of n headers.
func (b *Batch) header(n int) []kgo.RecordHeader {
	if cap(b.headers)-len(b.headers) < n {
		b.headers = make([]kgo.RecordHeader, 0, max(headerChunk, n))
	}
	i := len(b.headers)
	b.headers = b.headers[:i+n]
	return b.headers[i : i+n : i+n]
}
