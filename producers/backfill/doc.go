// Package backfill reads whole tables under the snapshot that a slot's creation
// exported: in parallel, by ranges of the primary key, exactly once each.
//
// A Keeper guards the tables and the snapshot, Read copies the ranges that are
// not finished yet, Merge keeps the record of finished ranges small, Blockers
// names what the creation of a slot waits for.
package backfill
