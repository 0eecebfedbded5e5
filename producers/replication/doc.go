// Package replication owns the replication connection and the slot.
//
// One goroutine reads the stream, interrupted by a read deadline only; one writes
// status replies, which never wait for delivery (hazard S26). The server speaks
// pgoutput protocol 1 in text format, so that a transaction of any size streams
// through constant memory (invariant 9): it spills what does not fit its own.
package replication
