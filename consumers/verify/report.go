package verify

import (
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
)

// maxFindings bounds how many findings a report lists; its counts are of all.
const maxFindings = 1000

// basis is said in every report: what the live project was compared with.
const basis = "the desired states in the ledger (the mapping, evaluated up to lsn), by rules of its own and not the applier's"

// Report is what a run has found. Fields are only added, never renamed.
type Report struct {
	Version  int       `json:"version"` // of this format
	Pipeline string    `json:"pipeline"`
	Project  string    `json:"project_id"`
	Mapping  string    `json:"mapping_digest"`
	Run      int64     `json:"run"`
	Started  time.Time `json:"started_at"`
	Finished time.Time `json:"finished_at"`
	// LSN: the report holds for everything that the source committed up to here.
	LSN     string  `json:"lsn"`
	Basis   string  `json:"basis"`
	Verdict Verdict `json:"verdict"`
	// Summary is the verdict in a sentence, with its numbers.
	Summary string `json:"summary"`
	// Entities that should exist, by kind.
	Entities map[string]int64 `json:"entities"`
	Classes  map[Class]int64  `json:"classes"`
	// Fields that differ, by kind and name.
	Fields map[string]int64 `json:"fields"`
	Losses map[string]int64 `json:"losses"`
	// Foreign objects were made by others, and are allowed.
	Foreign  int64          `json:"foreign_objects_allowed"`
	Canaries []CanaryResult `json:"canaries"`
	Findings []Finding      `json:"findings"`
	// LeftOut counts the findings beyond those that are listed.
	LeftOut  int64   `json:"findings_left_out"`
	Repair   *Repair `json:"repair,omitempty"`
	Searches int64   `json:"searches"`
	Reads    int64   `json:"reads"`
}

// Finding is an entity that is not as it should be: keys, as redact.ShownKey shows them,
// and names, never values.
type Finding struct {
	Kind         string   `json:"kind"`
	Organization string   `json:"organization,omitempty"`
	Entity       string   `json:"entity,omitempty"`
	StytchID     string   `json:"stytch_id,omitempty"`
	Class        Class    `json:"class"`
	Fields       []string `json:"fields,omitempty"`
	Why          string   `json:"why,omitempty"`
	// Confirmed by a read of its own; false: only a search says so, or it is pending.
	Confirmed bool `json:"confirmed"`
}

func (v *Verifier) report(run *ledger.Verification, classes, fields map[string]int64, found []ledger.Finding, canaries []CanaryResult) *Report {
	r := &Report{
		Version: 1, Pipeline: v.cfg.Pipeline, Project: v.cfg.ProjectID, Mapping: v.mapping, Run: run.ID,
		Started: run.Started.UTC(), LSN: run.LSN.String(), Basis: basis,
		Entities: run.Tally.Kinds, Classes: map[Class]int64{}, Fields: fields, Losses: run.Tally.Losses,
		Foreign: run.Tally.Foreign, Canaries: canaries, Findings: []Finding{},
	}
	if r.Canaries == nil {
		r.Canaries = []CanaryResult{}
	}
	for i, c := range r.Canaries {
		r.Canaries[i].Organization, r.Canaries[i].Member = shown(c.Organization), shown(c.Member)
	}
	var findings int64
	for _, c := range Classes {
		r.Classes[c] = classes[string(c)]
		if c.Drift() || c.Open() {
			findings += r.Classes[c]
		}
	}
	for _, f := range found {
		r.Findings = append(r.Findings, Finding{
			Kind: string(f.Key.Kind), Organization: shown(f.Key.Organization), Entity: shown(f.Key.Entity), StytchID: f.StytchID,
			Class: Class(f.Class), Fields: f.Fields, Why: f.Why, Confirmed: f.Confirmed,
		})
	}
	r.LeftOut = findings - int64(len(r.Findings))
	r.Verdict = r.verdict()
	r.Summary = r.summary()
	return r
}

// shown leaves out what is not known.
func shown(key string) string {
	if key == "" {
		return ""
	}
	return redact.ShownKey(key)
}

// verdict: drift wins over what is not known, which wins over clean. A project in
// which nothing should exist proves nothing.
func (r *Report) verdict() Verdict {
	open := len(r.Entities) == 0
	for c, n := range r.Classes {
		if n > 0 && c.Drift() {
			return DriftFound
		}
		open = open || n > 0 && c.Open()
	}
	for _, c := range r.Canaries {
		open = open || c.Outcome != canaryFine
	}
	if open {
		return CouldNotTell
	}
	return Clean
}
