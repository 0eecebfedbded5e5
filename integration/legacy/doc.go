// Package legacy plays whole migrations from the schemas of real applications: the
// statements that create them (of pipeline/discover's tests), rows from a seeded
// generator with each schema's traps, and a mapping as a user would write it.
// docs/legacy.md describes them.
package legacy
