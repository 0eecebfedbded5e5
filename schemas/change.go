package schemas

import "time"

// Op is what happened to a row, with Debezium's letters.
type Op byte

// The operations that reach data topics. TRUNCATE is a Control, not a change.
const (
	Read   Op = 'r' // read by a backfill
	Create Op = 'c'
	Update Op = 'u'
	Delete Op = 'd'
)

// State says what a Value holds.
type State byte

// The states of a value.
const (
	Null      State = iota // SQL NULL
	Text                   // the type's text output, under the pinned session settings
	Unchanged              // a TOASTed value that the change did not touch: never NULL, never a value
	Absent                 // not part of this image (key-only old row)
)

// Value is one column's value as PostgreSQL printed it. Data may alias a
// receive buffer: who keeps it beyond the call that handed it over copies it.
type Value struct {
	State State
	Data  []byte
}

// Row is one image of a row: one value per column of its relation, or nil.
type Row []Value

// Change is one row event of a committed transaction, or a row read by a backfill.
type Change struct {
	Op       Op
	Relation *Relation
	Version  Version
	// Old is nil for reads and creates. Without REPLICA IDENTITY FULL it holds the
	// key columns of a delete or of a key change only, other columns Absent.
	Old Row
	// New is nil for deletes.
	New Row
	// XID is the transaction's 32-bit id; 0 for reads.
	XID uint32
	// CommitTime is the source's commit time; for a read the time of its snapshot.
	CommitTime time.Time
}

// HeaderVersion names the record header that carries a change's Version as text,
// on tombstones too.
const HeaderVersion = "backstitch.version"
