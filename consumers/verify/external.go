package verify

import (
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// prefixes stand before the keys in external ids.
type prefixes struct{ organizations, members string }

func (p prefixes) of(k consumers.Kind) string {
	if k == consumers.Organization {
		return p.organizations
	}
	return p.members
}

// maxGenerations bounds how many external ids of one key are tried.
const maxGenerations = 20

// carries says whether an external id stands for a key, in any generation: deleted
// objects may keep the former ones.
func (p prefixes) carries(id string, k consumers.Key) bool {
	first := stytch.ExternalID(p.of(k.Kind), k.Entity)
	for n := range maxGenerations {
		if id == stytch.Generation(first, n) {
			return true
		}
	}
	return false
}

// expected is the external id that the ledger recorded, or the first.
func (p prefixes) expected(e *ledger.Expectation) string {
	name := "external_id"
	if e.Key.Kind == consumers.Organization {
		name = "organization_external_id"
	}
	if id := text(e.Applied[name].V); id != "" {
		return id
	}
	return stytch.ExternalID(p.of(e.Key.Kind), e.Key.Entity)
}

var generation = regexp.MustCompile(`\|g[0-9]+$`)

// key reads the key back out of an external id; false for one that is none of ours,
// or that was too long and holds a digest.
func (p prefixes) key(kind consumers.Kind, id string) (string, bool) {
	first := generation.ReplaceAllString(id, "")
	var b strings.Builder
	for i := 0; i < len(first); i++ {
		if first[i] != '|' {
			b.WriteByte(first[i])
			continue
		}
		if i+2 >= len(first) {
			break
		}
		raw, err := hex.DecodeString(first[i+1 : i+3])
		if err != nil {
			return "", false
		}
		b.Write(raw)
		i += 2
	}
	key, ok := strings.CutPrefix(b.String(), p.of(kind))
	return key, ok && id != "" && stytch.ExternalID(p.of(kind), key) == first
}
