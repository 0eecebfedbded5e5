package preflight

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backstitch/backstitch/internal/figures"
)

// Severity says what a finding means for a run.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // a run would fail, be held, or do harm
	Warning Severity = "warning" // a run works, at a price that the finding names
	Note    Severity = "note"    // good to know
)

// Finding is one thing to know or to change.
type Finding struct {
	Severity Severity `json:"severity"`
	// Code is stable, for scripts: source.wal_level.
	Code string `json:"code"`
	// Where is file:line of Key in the configuration.
	Where string `json:"where"`
	Key   string `json:"key"`
	What  string `json:"what"`
	Fix   string `json:"fix,omitempty"`
}

// Report is what a check found. Its JSON form is a contract: fields are added to,
// never renamed or removed.
type Report struct {
	Name     string    `json:"name"`
	Findings []Finding `json:"findings"`
	// Routes are those that were derived, and the tables that have none.
	Routes []Route `json:"routes,omitempty"`
	// Run is what a run uses on the servers.
	Run Run `json:"run"`
	// Backfill is what a first run has to do; nil when it could not be counted.
	Backfill *Forecast `json:"backfill,omitempty"`
	// Hashes counts the members' password hashes by class.
	Hashes []HashCount `json:"hashes,omitempty"`
	// Unfed are captured rows that become nothing in Stytch.
	Unfed []Unfed `json:"unfed,omitempty"`

	uncounted bool // what a first run has to do could not be counted
}

// Forecast is what a first run has to do.
type Forecast struct {
	Organizations int64 `json:"organizations"`
	Members       int64 `json:"members"`
	// Calls are writes: one an organization or member, one more a hash in an
	// organization that is adopted.
	Calls int64 `json:"calls"`
	// RateLimit is the pace in calls per second.
	RateLimit int `json:"rate_limit"`
	// Seconds that the calls take at that pace.
	Seconds int64 `json:"seconds"`
	// Hours are the same.
	Hours float64 `json:"hours"`
}

// HashCount is a class of password hashes.
type HashCount struct {
	Class string `json:"class"`
	Count int64  `json:"count"`
	// Taken: Stytch has a type for it. Members with another are created without
	// their password, a named loss.
	Taken bool `json:"taken"`
}

// Unfed counts a table's rows that feed no entity.
type Unfed struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	// Keys are primary keys of some of them, the parts of one joined by slashes; what may
	// be personal stands as its digest.
	Keys []string `json:"keys"`
}

// OK says that nothing was found that stops a run.
func (r *Report) OK() bool { return r.count(Error) == 0 }

func (r *Report) count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// sort puts errors first, and keeps the order of the checks within a severity.
func (r *Report) sort() {
	rank := map[Severity]int{Error: 0, Warning: 1, Note: 2}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(rank[a.Severity], rank[b.Severity]) })
}

// JSON is the report for scripts.
func (r *Report) JSON() []byte {
	b, err := json.MarshalIndent(struct {
		OK bool `json:"ok"`
		*Report
	}{r.OK(), r}, "", "  ")
	if err != nil {
		panic("preflight: report: " + err.Error()) // strings and numbers only
	}
	return append(b, '\n')
}

// Text is the report for people.
func (r *Report) Text() string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-8s %s: %s: %s\n", f.Severity, f.Where, f.Key, f.What)
		if f.Fix != "" {
			fmt.Fprintf(&b, "         %s.\n", strings.TrimSuffix(f.Fix, "."))
		}
	}
	if len(r.Findings) > 0 {
		b.WriteByte('\n')
	}
	r.routesText(&b)
	r.Run.text(&b)
	if f := r.Backfill; f != nil {
		fmt.Fprintf(&b, "A first run: %s organizations and %s members, %s calls, %s at %d/s.\n",
			thousands(f.Organizations), thousands(f.Members), thousands(f.Calls), (time.Duration(f.Seconds) * time.Second).String(), f.RateLimit)
	} else if r.uncounted {
		b.WriteString("A first run: not counted, see the findings.\n")
	}
	for i, h := range r.Hashes {
		if i == 0 {
			b.WriteString("Password hashes:\n")
		}
		fate := ""
		if !h.Taken {
			fate = "  not taken by Stytch: created without a password"
		}
		fmt.Fprintf(&b, "  %-20s %12s%s\n", h.Class, thousands(h.Count), fate)
	}
	for i, u := range r.Unfed {
		if i == 0 {
			b.WriteString("Rows that feed no organization and no member:\n")
		}
		fmt.Fprintf(&b, "  %-20s %12s", u.Table, thousands(u.Rows))
		if len(u.Keys) > 0 {
			fmt.Fprintf(&b, "  such as %s", strings.Join(u.Keys, ", "))
		}
		b.WriteByte('\n')
	}
	verdict := "ready to run"
	if !r.OK() {
		verdict = "not ready"
	}
	fmt.Fprintf(&b, "%s: %s (errors: %d, warnings: %d)\n", r.Name, verdict, r.count(Error), r.count(Warning))
	return b.String()
}

// thousands prints a number with separators.
func thousands(n int64) string { return figures.Number(n) }
