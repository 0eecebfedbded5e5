package deploy

import (
	"os"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/integration/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// read is a file of this folder, or beside it.
func read(tb testing.TB, path string) string {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// replaced is text with pairs replaced, each of which must be there.
func replaced(tb testing.TB, text string, pairs ...string) string {
	tb.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			tb.Fatalf("%q is not there to be replaced in:\n%s", pairs[i], text)
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}
