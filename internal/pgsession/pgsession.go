// Package pgsession pins the settings of every session whose text output or
// input must mean the same everywhere: the source's readers and the ledger's
// evaluators (hazards S9, C19). It ends sessions, and tells one that was lost.
package pgsession

import "maps"

// Formats are the settings that decide how values are printed and parsed.
func Formats() map[string]string {
	return map[string]string{
		"client_encoding":                     "UTF8",
		"DateStyle":                           "ISO, MDY",
		"IntervalStyle":                       "postgres",
		"TimeZone":                            "UTC",
		"extra_float_digits":                  "3",
		"bytea_output":                        "hex",
		"statement_timeout":                   "0",
		"lock_timeout":                        "0",
		"idle_in_transaction_session_timeout": "0",
	}
}

// Source are the run-time parameters of every session on the source database:
// formats pinned, row-level security off so that it fails instead of hiding rows,
// and a short wal_sender_timeout so that a cut-off owner frees the slot (S15).
func Source(application string) map[string]string {
	m := Formats()
	maps.Copy(m, map[string]string{
		"application_name":   application,
		"row_security":       "off",
		"wal_sender_timeout": "5s",
	})
	return m
}

// Ledger are the run-time parameters of sessions on the ledger database.
func Ledger(application string) map[string]string {
	m := Formats()
	m["application_name"] = application
	return m
}
