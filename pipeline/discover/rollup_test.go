package discover_test

import (
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/pipeline/discover"
)

// TestRollUp: the commented answer, only top tenants are organizations, is as sound as
// the first: the pre-flight accepts it, one row a member, the top tenant's role first.
func TestRollUp(t *testing.T) {
	t.Parallel()
	b := newBundle(t, read(t, "calcom.sql"))
	b.discover(b.source, discover.Options{})
	b.runSetup()
	for _, line := range afterwards.FindAllStringSubmatch(b.setup, -1) {
		b.exec(line[1])
	}
	yaml := otherAnswer(b.yaml)
	b.accepted(yaml)

	cfg, err := b.parse(undecided(yaml))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range cfg.Mappings() {
		want := "1:1 {owner};1:2 {member};3:3 {owner}"
		sql := "SELECT string_agg(organization_external_id || ':' || external_id || ' ' || roles::text, ';' ORDER BY organization_external_id, external_id)"
		if m.Kind == consumers.Organization {
			want, sql = "1;3;4", "SELECT string_agg(organization_external_id::text, ';' ORDER BY organization_external_id)"
		}
		var got string
		if err := b.admin.QueryRow(t.Context(), sql+" FROM ("+m.Select+") q").Scan(&got); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", m.Kind, got, err, want)
		}
	}
}

// otherAnswer puts the commented select in the place of those above them.
func otherAnswer(yaml string) string {
	var kept []string
	first := 0 // of the select that stands there
	instead := false
	for line := range strings.SplitSeq(yaml, "\n") {
		switch {
		case line == "  select: |":
			first = len(kept)
		case strings.HasPrefix(line, "  # Instead of this"):
			kept, instead = kept[:first], true
			continue
		case instead && strings.HasPrefix(line, "  # "):
			line = "  " + strings.TrimPrefix(line, "  # ")
		default:
			instead = false
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "\n")
}
