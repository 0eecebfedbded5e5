package redact

import (
	"strings"
	"testing"
)

func TestShownKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"1", "0198f3b2-0c53-7cc8-b1ac-4a3c9d0f2f55", "usr_2f.A|b", "org:7/eu"} {
		if got := ShownKey(key); got != key {
			t.Errorf("%s is shown as %s", key, got)
		}
	}
	for _, key := range []string{"", "jane@corp.example", "+1 555 0100", "+15550100", "Jane Doe", "jané", strings.Repeat("a", 65)} {
		if got := ShownKey(key); got != "sha256:"+Key(key) {
			t.Errorf("%q is shown as %s", key, got)
		}
	}
}
