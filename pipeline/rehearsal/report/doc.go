// Package report is what a rehearsal leaves behind: one JSON document, one HTML page
// that works without a network, and a text for the terminal.
//
// It holds counts, names of fields, roles and tables, and a few keys as
// redact.ShownKey shows them, never a value of a row (invariant 8). Whoever makes a
// report fills in what was counted and calls Finish, which adds the words, the
// arithmetic and the verdict. What an edit of the mapping changed is found with a file
// beside the report that holds a digest an entity (states.go).
package report
