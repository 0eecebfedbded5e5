// Package capture joins the parts of the source connector: there is one way in
// (the recovery path, for start, take-over and every error alike), one loop that
// carries changes from the stream into batches, and one pause in which a backfill
// reads rows at their place in the stream.
//
// The recovery path: take the slot first (a slot in other hands means stand by),
// then fence the former owner in Kafka, read the last checkpoint up to a barrier,
// check that server, slot and topics are those of the checkpoint, and go on,
// discarding what it has already (hazards S10, S11, S13, S14).
package capture
