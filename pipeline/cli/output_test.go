package cli

import (
	"io"
	"strings"
	"testing"
)

// Whatever reports takes --output json and -o json, by one flag.
func TestReportsHaveBothSpellings(t *testing.T) {
	t.Parallel()
	root := (&app{out: io.Discard, errOut: io.Discard}).root()
	for _, command := range []string{"check", "plan", "verify", "lag", "status", "audit", "rehearse", "parked list", "parked show", "replay apply", "replay transform"} {
		cmd, rest, err := root.Find(strings.Fields(command))
		if err != nil || len(rest) > 0 {
			t.Errorf("%s: %v %v", command, rest, err)
			continue
		}
		if f := cmd.Flags().Lookup("output"); f == nil || f.Shorthand != "o" || f.DefValue != "text" {
			t.Errorf("%s has no --output text or json, with -o: %+v", command, f)
		}
	}
}
