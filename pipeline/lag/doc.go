// Package lag measures how far a pipeline is behind, for the whole cluster: every
// instance, and every command, reads the same from the brokers, the ledger and the
// source, and nothing from another instance.
//
// A group's lag is counted to the last stable offset: what a read_committed reader
// can see. It has these parts, by topic and partition:
//
//   - records: offsets between the group's and the last stable one. Of the source
//     topics the group's offset is the ledger's (backstitch.offsets), which is the
//     truth; markers behind the last record that a checkpoint knows do not count. Of
//     the apply topics it is the offset committed in Kafka.
//   - bytes: an estimate, the partition's size on its leader's disk by the share of its
//     offsets that lag.
//   - seconds: the age of the first record that was not processed, by the timestamp in
//     its batch's header. One batch of each lagging partition is fetched for it, of at
//     most maxFetches partitions a look, and again only when the group's offset moved.
//
// The slot's lag is what the server has logged since the confirmed position.
package lag
