package transform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
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
// now: two plans with one digest yield the same entities (hazard C23).
func (p *Plan) Digest() string {
	h := sha256.New()
	for _, m := range p.Mappings {
		fmt.Fprintf(h, "%s\x00%s\x00%t\x00", m.Kind, m.Select, m.AssumeEmailsVerified)
		for _, t := range sortedTables(m.Routes) {
			r := m.Routes[t]
			fmt.Fprintf(h, "%s\x00%s\x00", t.SQL(), r.Select)
			for _, k := range r.Keys {
				fmt.Fprintf(h, "%s=%s\x00", k, r.Columns[k])
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Save keeps the plan in the ledger, under its digest.
func (p *Plan) Save(ctx context.Context, q ledger.Querier) error {
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode the compiled mappings: %w", err)
	}
	_, err = q.Exec(ctx, `INSERT INTO backstitch.plans (digest, plan) VALUES ($1, $2)
		ON CONFLICT (digest) DO UPDATE SET plan = excluded.plan, compiled_at = now()`, p.Digest(), b)
	if err != nil {
		return fmt.Errorf("save the compiled mappings: %w", redact.SQLError(err))
	}
	return nil
}

// LoadPlan reads the plan of a digest from the ledger; nil when it has none.
func LoadPlan(ctx context.Context, q ledger.Querier, digest string) (*Plan, error) {
	var b []byte
	err := q.QueryRow(ctx, `SELECT plan FROM backstitch.plans WHERE digest = $1`, digest).Scan(&b)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the compiled mappings: %w", redact.SQLError(err))
	}
	p := new(Plan)
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("decode the compiled mappings of digest %.12s: %w", digest, err)
	}
	return p, nil
}

// The JSON form lists what maps hold, because JSON keys cannot be tables.
type planJSON struct {
	Columns    []columnsJSON `json:"columns"`
	Mappings   []mappingJSON `json:"mappings"`
	Extensions []string      `json:"extensions,omitempty"`
}

type columnsJSON struct {
	Table   schemas.Table `json:"table"`
	Columns []string      `json:"columns"`
}

type mappingJSON struct {
	Kind     consumers.Kind  `json:"kind"`
	Select   string          `json:"select"`
	Keys     []KeyColumn     `json:"keys"`
	Fields   []FieldColumn   `json:"fields"`
	Reads    []schemas.Table `json:"reads"`
	Routes   []routeJSON     `json:"routes"`
	Verified bool            `json:"assume_emails_verified,omitempty"`
}

type routeJSON struct {
	Table schemas.Table `json:"table"`
	CompiledRoute
}

// MarshalJSON writes the plan without its warnings.
func (p *Plan) MarshalJSON() ([]byte, error) {
	j := planJSON{Extensions: p.Extensions}
	for _, t := range sortedTables(p.Columns) {
		j.Columns = append(j.Columns, columnsJSON{t, p.Columns[t]})
	}
	for _, m := range p.Mappings {
		mj := mappingJSON{Kind: m.Kind, Select: m.Select, Keys: m.Keys, Fields: m.Fields, Reads: m.Reads, Verified: m.AssumeEmailsVerified}
		for _, t := range sortedTables(m.Routes) {
			mj.Routes = append(mj.Routes, routeJSON{t, m.Routes[t]})
		}
		j.Mappings = append(j.Mappings, mj)
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Plan) UnmarshalJSON(b []byte) error {
	var j planJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*p = Plan{Columns: map[schemas.Table][]string{}, Extensions: j.Extensions}
	for _, c := range j.Columns {
		p.Columns[c.Table] = c.Columns
	}
	for _, mj := range j.Mappings {
		m := CompiledMapping{
			Kind: mj.Kind, Select: mj.Select, Keys: mj.Keys, Fields: mj.Fields, Reads: mj.Reads,
			Routes: map[schemas.Table]CompiledRoute{}, AssumeEmailsVerified: mj.Verified,
		}
		for _, r := range mj.Routes {
			m.Routes[r.Table] = r.CompiledRoute
		}
		p.Mappings = append(p.Mappings, m)
	}
	return nil
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
