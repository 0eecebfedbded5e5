package apply

import (
	"bytes"
	"encoding/hex"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

// unique are the fields that Stytch keeps unique, by kind. External ids are not
// among them: they are made from keys, and different keys never share one.
var unique = map[consumers.Kind][]string{
	consumers.Organization: {fieldSlug},
	consumers.Member:       {fieldEmail, fieldPhone},
}

// claim is an entity's claim to a value, false for no value.
func (d digester) claim(k consumers.Key, field string, v any) (ledger.Claim, bool) {
	s := strings.ToLower(text(v))
	if s == "" {
		return ledger.Claim{}, false
	}
	c := ledger.Claim{Field: field, Digest: d.of(field, s)}
	if k.Kind == consumers.Member {
		c.Scope = k.Organization
	}
	return c, true
}

// claims are those to the unique values among fields.
func (d digester) claims(k consumers.Key, fields func(name string) any) []ledger.Claim {
	var list []ledger.Claim
	for _, f := range unique[k.Kind] {
		if c, ok := d.claim(k, f, fields(f)); ok {
			list = append(list, c)
		}
	}
	return list
}

// applied are the claims to what an entity has in Stytch.
func (d digester) applied(s *ledger.State) []ledger.Claim {
	return d.claims(s.Key, func(f string) any { return s.Applied[f].V })
}

func sameClaim(a, b ledger.Claim) bool {
	return a.Scope == b.Scope && a.Field == b.Field && bytes.Equal(a.Digest, b.Digest)
}

func contains(list []ledger.Claim, c ledger.Claim) bool {
	for _, o := range list {
		if sameClaim(o, c) {
			return true
		}
	}
	return false
}

func sameClaims(a, b []ledger.Claim) bool {
	for _, c := range a {
		if !contains(b, c) {
			return false
		}
	}
	for _, c := range b {
		if !contains(a, c) {
			return false
		}
	}
	return true
}

// temporary is a value through which an entity passes that is part of a cycle;
// "" when the configuration has none.
func (d digester) temporary(k consumers.Key, field, domain string) string {
	name := "bs-" + hex.EncodeToString(d.of("temporary", string(k.Kind), k.Organization, k.Entity)[:10])
	switch {
	case field == fieldSlug:
		return name
	case field == fieldEmail && domain != "":
		return name + "@" + domain
	}
	return ""
}
