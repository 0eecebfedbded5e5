// Package apply brings desired states to Stytch: the apply connector.
//
// Wake-ups of two lanes say which entity to look at; the ledger says what it
// should be and what it is. A turn of an entity is a chain of steps, one file each:
// poll, schedule, load, order, plan, budget, mark, call, classify, record, due.
// Planning is a pure function of last applied state, desired state, a fresh read
// where one is needed, and settings. Nothing else decides about calls.
//
// What keeps it right when things fail: one lease per partition number with a term
// that every write checks (hazard A1); a mark before each call and its record after
// it (hazard A2); an outcome that is not known is left alone until it has settled,
// and then read back (hazard A3); claims for values that Stytch keeps unique
// (hazard A4); and a durable outcome for every turn, so that nothing blocks the
// partition (hazard A5, invariant 6).
package apply
