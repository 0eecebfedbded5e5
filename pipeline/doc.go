// Package pipeline joins the parts: it reads the configuration, builds the
// clients, wires producers and consumers by hand, runs them, drains them and
// tells how they are. No stage imports it.
//
// # Invariants
//
// The line that enforces one and the test that proves it cite its number.
//
//  1. Confirm after durable. The slot is confirmed to a position only after the
//     Kafka transaction that holds every event up to it, and the checkpoint
//     itself, has committed; and to exactly TransactionEndLSN.
//  2. Exactly once into Kafka. Across crashes, fail-over and a split brain a
//     read_committed reader sees every row event of every committed transaction
//     once, in commit order per key, backfill included.
//  3. No stale write wins. A backfill row stands in the topics before every change
//     that it does not contain; a lower revision never overtakes a higher one.
//  4. One hand per entity. At most one API call per entity is in flight, across
//     instances, re-balances and zombies; an organization exists before its members.
//  5. Replay is harmless. Any topic may be read again from any offset, any number
//     of times: an unchanged desired state makes no API call.
//  6. Nothing is dropped unrecorded. A change ends as applied, applied with a named
//     loss, superseded, deferred with a due time, or parked with a reason that a
//     person can act on. Neither deferred nor parked blocks another entity.
//  7. Deletes are earned. A member or organization is deleted only because its
//     row's deletion, or its exclusion by the mapping caused by a row's change, was
//     seen. TRUNCATE, a dropped table, a lost slot, lost topics, a column that
//     appeared or a mapping edit never delete by themselves: those deletes wait for
//     a person's consent. The brake latches.
//  8. Secrets stay secret. No e-mail, phone, hash, secret or token in logs,
//     metrics, errors, URLs or process arguments; database errors show their
//     SQLSTATE only.
//  9. Bounded memory. Every queue and buffer is bounded in bytes; a transaction of
//     any size streams through.
//  10. One owner per position. A position moves in one place, after its durable
//     effect, contiguous only, under a fence that a former owner cannot pass.
//  11. Whole transactions only. The mapping is evaluated only on states that the
//     legacy database had after a commit.
//  12. Never overwrite what we did not write. E-mail, password, phone and delete
//     calls are planned from three states: last applied, desired, and a fresh
//     read. From an organization's release on, nothing of it is written any more.
package pipeline
