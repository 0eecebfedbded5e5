package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers"
)

// Digest identifies the mapping and the policies: two files with one digest make
// the same calls from the same rows (hazard C23). It covers captured tables,
// SELECTs, routes, assume_emails_verified, the external ids' prefixes and what
// happens to deletes; not the brake's number, rates, addresses and credentials,
// which may be tuned while a pipeline lives.
func (c *Config) Digest() string {
	type route struct {
		Table   string
		Columns map[string]string // encoding/json sorts keys
		Select  string
	}
	type mapping struct {
		Kind     consumers.Kind
		Select   string
		Routes   []route
		Verified bool
	}
	var tables []string
	for _, t := range c.Source.Tables {
		tables = append(tables, t.SQL())
	}
	slices.Sort(tables)
	var mappings []mapping
	for _, m := range c.Mappings() {
		out := mapping{Kind: m.Kind, Select: statement(m.Select), Verified: m.AssumeEmailsVerified}
		for t, r := range maps.All(m.Routes) {
			out.Routes = append(out.Routes, route{t.SQL(), r.Columns, statement(r.Select)})
		}
		slices.SortFunc(out.Routes, func(a, b route) int { return strings.Compare(a.Table, b.Table) })
		mappings = append(mappings, out)
	}
	b, err := json.Marshal([]any{
		tables, mappings, c.ExternalIDPrefix.Organizations, c.ExternalIDPrefix.Members, c.Deletes.Members, c.Deletes.Organizations,
	})
	if err != nil {
		panic("config: digest: " + err.Error()) // strings and booleans only
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// statement is SQL without the space and semicolon around it.
func statement(sql string) string { return strings.TrimRight(strings.TrimSpace(sql), "; \t\r\n") }
