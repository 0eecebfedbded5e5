// Package producers is the source connector: it reads a PostgreSQL database
// through one logical replication slot and writes every committed row change,
// and every row that a backfill reads, to Kafka exactly once and in commit order.
//
// This package holds the vocabulary that its children share; each child does one
// job:
//
//	replication  the slot and its connection: messages in, confirmations out
//	backfill     rows read in parallel under a snapshot that a slot exported
//	publisher    Kafka transactions of records and a checkpoint
//	capture      the recovery path, and the pause in which a backfill reads
//
// A change on its way: replication decodes it from the receive buffer, capture
// gives it its version and skips it when the last checkpoint has it already,
// publisher encodes it into a batch and commits the batch together with a
// checkpoint, and only then replication confirms the slot (invariant 1).
package producers
