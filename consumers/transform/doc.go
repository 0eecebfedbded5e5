// Package transform turns the source topics into the desired state of every
// entity. One owner at a time reads from checkpoint to checkpoint.
//
// The first half of its way goes from topics to mirror: the reader delivers what
// every partition holds up to a checkpoint (reader, arrive); fold reduces the
// events of a batch to one image per key; fill moves the mirror and the offsets
// in one bounded transaction, around which the routes see the images before and
// after. A checkpoint that ends a source transaction, once every partition has
// arrived there and nothing beyond is filled, is a state that the legacy database
// had (invariant 11): only there the second half evaluates the mapping for the
// keys that were touched, and announces what changed.
//
// Re-reading is harmless (invariant 5): the mirror's offsets stand in the ledger
// and move with the rows, so a record is filled once however often it is
// delivered; a ledger that starts anew reads from the beginning of the compacted
// topics, where the versions of a key never decrease, into an empty mirror that
// nothing evaluates before the newest checkpoint is reached; and a mirror that
// must be filled again while the old one serves stands beside it, in schemas
// backstitch_next_…, until it is swapped in.
package transform
