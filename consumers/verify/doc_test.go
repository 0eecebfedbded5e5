package verify

import (
	"reflect"
	"testing"

	"github.com/backstitch/backstitch/integration/jsondoc"
)

// What is signed is described, field by field.
func TestReportIsDocumented(t *testing.T) {
	t.Parallel()
	jsondoc.Check(t, "../../docs/verify.md", reflect.TypeFor[Report]())
	jsondoc.Check(t, "../../docs/verify.md", reflect.TypeFor[Signed]())
}
