package legacy_test

import (
	"os"
	"testing"

	"github.com/backstitch/backstitch/integration/testenv"
)

func TestMain(m *testing.M) {
	os.Setenv("LEGACY_PASSWORD", password) // where canaries.yaml finds it; tests in parallel may not set one
	testenv.Main(m)
}
