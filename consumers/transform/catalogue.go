package transform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// Catalogue is what was read of the source: what a mapping reads, and the tables as
// they were. It is kept in the ledger, so that the transform can be taken over while
// the source cannot be reached (decision 0020).
type Catalogue struct {
	// Plan is what the mappings read (Compile).
	Plan *Plan
	// Captured are the captured tables.
	Captured []Captured
	// Covers is the newest version that was known before the reading began: what
	// changed a table up to it is in the catalogue.
	Covers schemas.Version
	// ReadAt is when it was read, by the clock of who read it.
	ReadAt time.Time
}

// NoCatalogueError says why no catalogue of the source is kept that could be used in
// its place.
type NoCatalogueError struct{ Why string }

func (e *NoCatalogueError) Error() string { return "no catalogue of it can be used: " + e.Why }

// catalogueFormat is raised whenever a kept catalogue of a former version would be
// misread, or would lack something.
const catalogueFormat = 2

// Recall reads the catalogue that the ledger keeps for these tables and mappings. A
// *NoCatalogueError says that there is none: with another mapping, the source must be
// asked what it reads.
func Recall(ctx context.Context, q ledger.Querier, prefix string, tables []schemas.Table, mappings []consumers.Mapping) (*Catalogue, error) {
	want, err := catalogueDigest(tables, mappings)
	if err != nil {
		return nil, err
	}
	var format int
	var digest, covers string
	var content []byte
	c := &Catalogue{}
	err = q.QueryRow(ctx, "SELECT format, digest, covers, read_at, content FROM backstitch.catalogue WHERE prefix = $1", prefix).
		Scan(&format, &digest, &covers, &c.ReadAt, &content)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, &NoCatalogueError{"none was read yet"}
	case err != nil:
		return nil, fmt.Errorf("recall the source's catalogue: %w", redact.SQLError(err))
	case digest != want:
		return nil, &NoCatalogueError{"the one in the ledger was read for other tables or another mapping"}
	case format != catalogueFormat:
		return nil, &NoCatalogueError{"the one in the ledger was written by another version of Backstitch"}
	}
	if err := c.Covers.UnmarshalText([]byte(covers)); err != nil {
		return nil, fmt.Errorf("recall the source's catalogue: %w", err)
	}
	return c, c.decode(content)
}

// remember keeps the catalogue, in a transaction of its owner.
func (c *Catalogue) remember(ctx context.Context, tx pgx.Tx, cfg *Config) error {
	digest, err := catalogueDigest(cfg.Tables, cfg.Mappings)
	if err != nil {
		return err
	}
	content, err := c.encode()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO backstitch.catalogue (prefix, format, digest, covers, read_at, content) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (prefix) DO UPDATE SET format = excluded.format, digest = excluded.digest, covers = excluded.covers,
			read_at = excluded.read_at, content = excluded.content`,
		cfg.Prefix, catalogueFormat, digest, c.Covers.String(), c.ReadAt, content)
	if err != nil {
		return fmt.Errorf("keep the source's catalogue: %w", redact.SQLError(err))
	}
	return nil
}

// The form in which a catalogue is kept: JSON has no tables for keys.
type (
	keptCatalogue struct {
		Columns    []keptColumns
		Mappings   []keptMapping
		Extensions []string
		Captured   []Captured
	}
	keptColumns struct {
		Table   schemas.Table
		Columns []string
	}
	keptMapping struct {
		CompiledMapping // its Routes and Swept are hidden by those below
		Routes          []keptRoute
		Swept           []keptReason
	}
	keptReason struct {
		Table schemas.Table
		Why   string
	}
	keptRoute struct {
		Table schemas.Table
		Route CompiledRoute
	}
)

func (c *Catalogue) encode() ([]byte, error) {
	kept := keptCatalogue{Extensions: c.Plan.Extensions, Captured: c.Captured}
	for _, table := range sortedTables(c.Plan.Columns) {
		kept.Columns = append(kept.Columns, keptColumns{table, c.Plan.Columns[table]})
	}
	for _, m := range c.Plan.Mappings {
		mapping := keptMapping{CompiledMapping: m}
		for _, table := range sortedTables(m.Routes) {
			mapping.Routes = append(mapping.Routes, keptRoute{table, m.Routes[table]})
		}
		for _, table := range sortedTables(m.Swept) {
			mapping.Swept = append(mapping.Swept, keptReason{table, m.Swept[table]})
		}
		kept.Mappings = append(kept.Mappings, mapping)
	}
	content, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("keep the source's catalogue: %w", err)
	}
	return content, nil
}

func (c *Catalogue) decode(content []byte) error {
	var kept keptCatalogue
	if err := json.Unmarshal(content, &kept); err != nil {
		return fmt.Errorf("recall the source's catalogue: %w", err)
	}
	c.Captured, c.Plan = kept.Captured, &Plan{Columns: map[schemas.Table][]string{}, Extensions: kept.Extensions}
	for _, t := range kept.Columns {
		c.Plan.Columns[t.Table] = t.Columns
	}
	for _, m := range kept.Mappings {
		m.CompiledMapping.Routes = map[schemas.Table]CompiledRoute{}
		m.CompiledMapping.Swept = map[schemas.Table]string{}
		for _, s := range m.Swept {
			m.CompiledMapping.Swept[s.Table] = s.Why
		}
		for _, r := range m.Routes {
			m.CompiledMapping.Routes[r.Table] = r.Route
		}
		c.Plan.Mappings = append(c.Plan.Mappings, m.CompiledMapping)
	}
	return nil
}

// catalogueDigest identifies what a catalogue was read for.
func catalogueDigest(tables []schemas.Table, mappings []consumers.Mapping) (string, error) {
	type route struct {
		Table schemas.Table
		Route consumers.Route
	}
	h := sha256.New()
	write := func(v any) error { return json.NewEncoder(h).Encode(v) }
	err := write(tables)
	for _, m := range mappings {
		var routes []route
		for _, table := range sortedTables(m.Routes) {
			routes = append(routes, route{table, m.Routes[table]})
		}
		err = errors.Join(err, write([]any{m.Kind, m.Select, m.AssumeEmailsVerified, routes}))
	}
	if err != nil {
		return "", fmt.Errorf("compare the source's catalogue with the mapping: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
