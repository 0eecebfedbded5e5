// Package publisher writes batches of change events to Kafka, each in one
// transaction together with a checkpoint, and reads back where the last owner
// stopped.
//
// The transactional id is stable per source, so that a new owner fences the old
// one (invariant 2). A client is used until the first doubt: every promise and the
// commit itself are checked, and whatever went wrong, the way on is a new client
// that starts from the last committed checkpoint.
package publisher
