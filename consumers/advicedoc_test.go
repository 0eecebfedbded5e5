package consumers_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
)

// What is documented is what is printed.
func TestEveryReasonIsDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/parked.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]consumers.Advice{}
	for _, r := range consumers.Reasons() {
		rows[string(r)] = consumers.Advise(r)
	}
	for _, l := range consumers.Losses() {
		rows[string(l)] = consumers.AdviseLoss(l)
	}
	for name, a := range rows {
		if row := fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, a.Means, a.Fix, a.ByItself); !strings.Contains(string(raw), row) {
			t.Errorf("docs/parked.md lacks the row\n%s", row)
		}
	}
}
