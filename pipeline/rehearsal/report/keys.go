package report

import (
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
)

// NewSample is an entity as a report shows it; other is the key of who holds what it
// wants, detail a name (a SQLSTATE, a role), never a value.
func NewSample(k consumers.Key, other, detail string) Sample {
	s := Sample{Key: redact.ShownKey(k.Entity), Detail: detail}
	if k.Kind == consumers.Member {
		s.Organization = redact.ShownKey(k.Organization)
	}
	if other != "" {
		s.Other = redact.ShownKey(other)
	}
	return s
}

// RowSample is a row of a captured table by the parts of its primary key.
func RowSample(table string, key []string, detail string) Sample {
	shown := make([]string, len(key))
	for i, part := range key {
		shown[i] = redact.ShownKey(part)
	}
	return Sample{Table: table, Key: strings.Join(shown, "/"), Detail: detail}
}
