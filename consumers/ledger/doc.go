// Package ledger is the database of Backstitch's own: which source, cluster and
// Stytch project it belongs to, what every entity should be and is, what a person
// was asked, and the tables that keep owners apart. It is the truth; topics only
// say where to look.
//
// Its schema is backstitch, brought up to date by Migrate. The mirror of the
// captured tables stands beside it under the legacy system's own names and belongs
// to transform. Commits are synchronous unless a session says otherwise
// (hazard C12).
package ledger
