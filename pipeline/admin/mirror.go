package admin

import "time"

// MirrorAudit is the last comparison of the mirror with the source, all tables together.
type MirrorAudit struct {
	// Verdict: clean, different, or could not tell.
	Verdict string `json:"verdict"`
	// FirstLSN and LastLSN are the positions of the source between which every range was
	// compared at one.
	FirstLSN string `json:"first_lsn,omitempty"`
	LastLSN  string `json:"last_lsn,omitempty"`
	// Rows of the source that were compared.
	Rows int64 `json:"rows"`
	// Rows that the source alone has, the mirror alone has, and that differ.
	Missing   int64 `json:"missing"`
	Extra     int64 `json:"extra"`
	Different int64 `json:"different"`
	// Incomplete rows lack a large value that no record carried; Unsettled ones changed
	// at every look, or the mirror did not get as far.
	Incomplete int64 `json:"incomplete"`
	Unsettled  int64 `json:"unsettled"`
	// Tables that are not clean.
	Tables []string `json:"tables"`
	// Why not everything could be compared.
	Why       string    `json:"why,omitempty"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
}
