// Package checksum compares the captured tables with their copies, by key range, as
// the source was at one position of its log.
//
// A snapshot of the source is that of a temporary slot, whose position is exact
// (snapshot.go). A range is summed on both sides, and read row by row where the sums
// differ (ranges.go). The copy goes on following meanwhile, so what differs is only
// suspected: it counts when it still differs at a position between two snapshots
// during which the source's row was the same (settle.go, docs/decisions/0024).
package checksum
