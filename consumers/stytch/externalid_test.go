package stytch

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestExternalID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ prefix, key, want string }{
		{"", "42", "42"},
		{"usr_", "42", "usr_42"},
		{"", "0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5b-d9cb-469f-a165-70867728950e"},
		{"", "a/b c", "a|2fb|20c"},
		{"", "a|b", "a|7cb"},
		{"", "ü", "|c3|bc"},
		{"", "", "|"},
		{"", ".", "|2e"},
		{"", "..", "|2e."},
		{"t", "..", "t.."},
		{"", "member-test-1", "|6dember-test-1"},
		{"mem", "ber-1", "|6dember-1"},
		{"", "Organization-1", "|4frganization-1"},
	} {
		if got := ExternalID(tt.prefix, tt.key); got != tt.want {
			t.Errorf("ExternalID(%q, %q) = %q, want %q", tt.prefix, tt.key, got, tt.want)
		}
	}
}

var legal = regexp.MustCompile(`^[A-Za-z0-9._|-]{1,128}$`)

// TestExternalIDInjective: hazard A21.
func TestExternalIDInjective(t *testing.T) {
	t.Parallel()
	// A small alphabet of what the escaping treats differently, and lengths around the limit.
	keys := rapid.OneOf(
		rapid.StringOfN(rapid.RuneFrom([]rune("am|.2fhM-")), 0, 6, -1),
		rapid.StringOfN(rapid.RuneFrom([]rune("a|h")), 40, 135, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), func(b []byte) string { return string(b) }),
		rapid.SampledFrom([]string{"member-", "organization-", "|6dember-", "|", "", ".", "|2e"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"", "usr_", "mem"}).Draw(t, "prefix")
		a := keys.Draw(t, "a")
		b := rapid.OneOf(keys, rapid.Just(ExternalID(prefix, a)), rapid.Just(a+"0")).Draw(t, "b")
		ia, ib := ExternalID(prefix, a), ExternalID(prefix, b)
		if a != b && ia == ib {
			t.Fatalf("%q and %q share %q", a, b, ia)
		}
		if !legal.MatchString(ia) {
			t.Fatalf("%q gives %q: outside Stytch's alphabet or length", a, ia)
		}
		if strings.Trim(ia, ".") == "" || strings.HasPrefix(strings.ToLower(ia), "member-") || strings.HasPrefix(strings.ToLower(ia), "organization-") {
			t.Fatalf("%q gives %q: it can be taken for something else", a, ia)
		}
	})
}
