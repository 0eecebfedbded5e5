package wires_test

import (
	"testing"

	"github.com/backstitch/backstitch/integration/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
