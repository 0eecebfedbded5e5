package schemas

import (
	"strings"
	"time"
)

// Wake is an apply record: it says which entity to look at, at which revision,
// from which source position, and carries no values. The ledger is the truth.
type Wake struct {
	Kind         string // organization or member
	Organization string // the organization's key in the mapping
	Entity       string // the entity's key; an organization's equals Organization
	Revision     int64
	Reason       string // why it was announced: change, load, audit, sweep, replay, …
	Epoch        uint32
	CommitLSN    LSN
	EndLSN       LSN
	CommitTime   time.Time
}

// Key is the record key kind|organization|entity, each part escaped so that
// different entities never share a key.
func (w Wake) Key() string {
	return w.Kind + "|" + keyEscaper.Replace(w.Organization) + "|" + keyEscaper.Replace(w.Entity)
}

var keyEscaper = strings.NewReplacer("%", "%25", "|", "%7C")
