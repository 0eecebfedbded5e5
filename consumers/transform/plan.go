package transform

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

// Plan is what Compile learned: what the mirror must hold, and how rows become
// entities.
type Plan struct {
	// Columns of every captured table that the mirror holds: the primary key in its
	// own order first, then what mappings and routes read, in the table's order
	// (hazards C8, C21, C24).
	Columns map[schemas.Table][]string
	// Mappings, organizations first.
	Mappings []CompiledMapping
	// Extensions whose functions the mappings call; the ledger needs them too.
	Extensions []string
	// Warnings are the findings that refuse nothing.
	Warnings Findings
}

// CompiledMapping is a mapping whose names and types are known.
type CompiledMapping struct {
	Kind   consumers.Kind
	Select string // without a closing semicolon
	// Keys are the key columns, the organization's first.
	Keys []KeyColumn
	// Fields are the other columns, in the order of consumers.Fields.
	Fields []FieldColumn
	// Reads are the captured tables that the SELECT reads.
	Reads []schemas.Table
	// Routes by table; tables of Reads that have none are swept.
	Routes map[schemas.Table]CompiledRoute
	// Swept says of those why.
	Swept map[schemas.Table]string
	// AssumeEmailsVerified as the mapping says.
	AssumeEmailsVerified bool
}

// KeyColumn is a key column and its base type: smallint, integer, bigint, uuid,
// text or character varying.
type KeyColumn struct{ Name, Type string }

// FieldColumn is a column that becomes a field of the desired state.
type FieldColumn struct {
	Name string
	Type consumers.FieldType
}

// CompiledRoute is a route that was checked. One of Columns and Select is set.
type CompiledRoute struct {
	Keys    []string          // the key columns that it yields, in the kind's order
	Columns map[string]string // key column -> column of the row
	Select  string
	// Derived: nobody wrote it (decision 0022).
	Derived bool
}

// Mapping is the compiled mapping of a kind, nil when there is none.
func (p *Plan) Mapping(k consumers.Kind) *CompiledMapping {
	for i := range p.Mappings {
		if p.Mappings[i].Kind == k {
			return &p.Mappings[i]
		}
	}
	return nil
}

// Digest identifies what the mappings and routes say, not the tables as they are
// now: two plans with one digest yield the same entities (hazard C23). A derived
// route says nothing that the SELECT does not.
func (p *Plan) Digest() string {
	h := sha256.New()
	for _, m := range p.Mappings {
		fmt.Fprintf(h, "%s\x00%s\x00%t\x00", m.Kind, m.Select, m.AssumeEmailsVerified)
		for _, t := range sortedTables(m.Routes) {
			r := m.Routes[t]
			if r.Derived {
				continue
			}
			fmt.Fprintf(h, "%s\x00%s\x00", t.SQL(), r.Select)
			for _, k := range r.Keys {
				fmt.Fprintf(h, "%s=%s\x00", k, r.Columns[k])
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sortedTables[V any](m map[schemas.Table]V) []schemas.Table {
	tables := make([]schemas.Table, 0, len(m))
	for t := range m {
		tables = append(tables, t)
	}
	slices.SortFunc(tables, compareTables)
	return tables
}

func compareTables(a, b schemas.Table) int { return strings.Compare(a.SQL(), b.SQL()) }
