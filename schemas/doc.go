// Package schemas is the vocabulary that producers and consumers share: what a
// row, a relation, a change and its version are, what a checkpoint promises,
// what a wake-up says, and how topics are named and partitioned.
//
// It imports nothing of Backstitch. Its children turn the vocabulary into bytes
// (avro) and register the schemas of those bytes (registry).
package schemas
