package transform

import (
	"strings"

	"github.com/backstitch/backstitch/schemas"
)

// Severity says whether a finding stops a mapping from being used.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // refused
	SeverityWarning Severity = "warning" // works, at a price that the finding names
)

// Finding is something about a mapping that a person should know or must change.
type Finding struct {
	Severity Severity
	Where    string // organizations.select, members.routes.users, source.tables
	What     string // what is wrong and why it matters
	Fix      string // what a person can do
}

// String is the finding in one line.
func (f Finding) String() string { return f.Where + " " + f.What + ". " + f.Fix + "." }

// Findings is the error of Compile: everything that it found, at once.
type Findings []Finding

// Error lists the findings, one a line.
func (f Findings) Error() string {
	lines := make([]string, len(f))
	for i, finding := range f {
		lines[i] = finding.String()
	}
	return strings.Join(lines, "\n")
}

// refused reports whether one of the findings is an error.
func (f Findings) refused() bool {
	for _, finding := range f {
		if finding.Severity == SeverityError {
			return true
		}
	}
	return false
}

// shortName is a table as people write it: quotes where SQL needs them, without
// the schema when it is public.
func shortName(t schemas.Table) string {
	if t.Schema == "public" {
		return sqlIdent(t.Name)
	}
	return fullName(t)
}

// fullName is a table as source.tables lists it.
func fullName(t schemas.Table) string { return sqlIdent(t.Schema) + "." + sqlIdent(t.Name) }

func sqlIdent(s string) string {
	for i, r := range s {
		if r != '_' && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return schemas.QuoteIdent(s)
		}
	}
	return s
}

// nearest is the candidate that is most like name, or "" when none is alike.
func nearest(name string, candidates []string) string {
	best, bestDistance := "", len(name)/2+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best == "" { // email for email_address
		for _, c := range candidates {
			if len(name) >= 4 && (strings.Contains(c, strings.ToLower(name)) || strings.Contains(strings.ToLower(name), c)) {
				return c
			}
		}
	}
	return best
}

// distance is Levenshtein's, in bytes: field names are ASCII.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
