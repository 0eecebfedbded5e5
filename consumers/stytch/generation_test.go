package stytch

import (
	"strings"
	"testing"
)

func TestGenerationsAreInjective(t *testing.T) { // hazard A21
	t.Parallel()
	seen := map[string]string{}
	for _, key := range []string{"", "a", "a|g1", "a|g", "a|i", strings.Repeat("x", 125), strings.Repeat("x", 126), strings.Repeat("x", 128), strings.Repeat("x", 128) + "|g1"} {
		for n := range 12 {
			id := Generation(ExternalID("", key), n)
			if len(id) > maxExternalID {
				t.Errorf("%d bytes", len(id))
			}
			if other, taken := seen[id]; taken {
				t.Errorf("%q and %q share an id", other, key)
			}
			seen[id] = key
		}
	}
	if Generation("a", 0) != "a" {
		t.Error("the first generation is another id")
	}
}
