// Package verify compares the live Stytch project with what the ledger says it
// should be: field by field, both sides enumerated, and with rules of its own. It
// shares no code with the applier's planner, so that a mistake there shows here.
//
// What it compares with are the desired states in the ledger: the mapping, evaluated.
// Whether those are right is the audit's to say. It changes nothing in Stytch, and
// compares an entity only where the ledger says that it was applied past its last
// change; what is on its way is looked at again until it has settled.
//
// The way of a run: search pages of organizations, then of members, some
// organizations at a time, go into the ledger with the search's cursor (pages.go); a
// partition that was read is joined with the desired states and judged row by row
// (judge.go, fields.go); what differs there is read again, because a search may be
// behind, between two looks at the ledger (settle.go). The report says what was found
// for which position of the source's log (report.go), and is signed (sign.go).
package verify
