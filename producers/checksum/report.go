package checksum

import (
	"slices"
	"strings"

	"github.com/backstitch/backstitch/internal/redact"
)

// The verdicts on a table, and on all of them.
const (
	Clean   = "clean"          // nothing differs
	Drift   = "different"      // something does, whatever else could not be told
	Unknown = "could not tell" // nothing is known to differ, and not everything could be compared
)

// samples is how many keys a report lists of each kind of difference.
const samples = 10

// Report is what came of a comparison. Its JSON form is a contract: fields are added
// to, never renamed or removed (docs/audit.md). It holds keys and names, no values
// (invariant 8).
type Report struct {
	Verdict string `json:"verdict"`
	// FirstLSN and LastLSN are the positions of the first and of the last snapshot;
	// each range was compared at one position between them.
	FirstLSN  string `json:"first_lsn,omitempty"`
	LastLSN   string `json:"last_lsn,omitempty"`
	Snapshots int    `json:"snapshots"`
	// Why not everything could be compared.
	Why    string         `json:"why,omitempty"`
	Tables []*TableReport `json:"tables"`
}

// TableReport is a Report's part on one table.
type TableReport struct {
	Table   string `json:"table"`
	Verdict string `json:"verdict"`
	// Columns that were compared; Left were not, each with its reason.
	Columns []string `json:"columns"`
	Left    []string `json:"columns_left_out,omitempty"`
	// Rows of the source that were compared, in so many Ranges; of Read ranges the sums
	// differed, and they were read row by row.
	Rows   int64 `json:"rows"`
	Ranges int64 `json:"ranges"`
	Read   int64 `json:"ranges_read"`
	// Missing rows are the source's alone, Extra rows the mirror's, Different ones
	// differ in the columns that samples name.
	Missing   Found `json:"missing"`
	Extra     Found `json:"extra"`
	Different Found `json:"different"`
	// Incomplete rows lack a large value that no record ever carried, which is known:
	// their entities are parked.
	Incomplete int64 `json:"incomplete"`
	// Moving rows changed at every look, and the mirror was seen to follow them.
	Moving int64 `json:"moving"`
	// Unsettled rows differed at every look, and changed meanwhile, or the mirror did not
	// get as far: nobody knows whether they are the same.
	Unsettled int64 `json:"unsettled"`
	// Stopped: so much differs that the rest was not compared.
	Stopped bool   `json:"stopped,omitempty"`
	Why     string `json:"why,omitempty"`
	Fix     string `json:"fix,omitempty"`
}

// Found counts rows that differ in one way, and shows some.
type Found struct {
	Count   int64    `json:"count"`
	Samples []Sample `json:"samples"`
}

// Sample is a row by its primary key. A part of it that may be personal is a digest.
type Sample struct {
	Key     []string `json:"key"`
	Columns []string `json:"columns,omitempty"`
}

func (f *Found) add(key, columns []string) {
	f.Count++
	if len(f.Samples) >= samples {
		return
	}
	shown := make([]string, len(key))
	for i, k := range key {
		shown[i] = redact.ShownKey(k)
	}
	f.Samples = append(f.Samples, Sample{Key: shown, Columns: columns})
}

// Differ is the number of rows that differ.
func (t *TableReport) Differ() int64 { return t.Missing.Count + t.Extra.Count + t.Different.Count }

// because adds a reason why something of the table could not be told.
func (t *TableReport) because(why string) {
	if t.Why != "" && !strings.Contains(t.Why, why) {
		why = t.Why + "; " + why
	} else if t.Why != "" {
		return
	}
	t.Why = why
}

// judge draws the conclusion from the counts, with the fix.
func (t *TableReport) judge() {
	switch {
	case t.Differ() > 0:
		t.Verdict = Drift
	case t.Why != "" || t.Unsettled > 0 || len(t.Left) > 0:
		t.Verdict = Unknown
	default:
		t.Verdict = Clean
	}
	var fixes []string
	if t.Missing.Count+t.Different.Count+t.Incomplete > 0 {
		fixes = append(fixes, "`backstitch backfill --table "+t.Table+"` reads the table again and mends what is missing, different or incomplete")
	}
	if t.Extra.Count > 0 {
		fixes = append(fixes, "`backstitch replay transform --rebuild` fills the mirror anew beside the old one and takes out what is extra; entities that vanish with it wait for consent")
	}
	t.Fix = strings.Join(fixes, "; ")
}

// judge draws the conclusion from the tables'.
func (r *Report) judge() {
	r.Verdict = Clean
	for _, t := range r.Tables {
		t.judge()
	}
	is := func(verdict string) bool {
		return slices.ContainsFunc(r.Tables, func(t *TableReport) bool { return t.Verdict == verdict })
	}
	switch {
	case is(Drift):
		r.Verdict = Drift
	case r.Why != "" || is(Unknown):
		r.Verdict = Unknown
	}
}
