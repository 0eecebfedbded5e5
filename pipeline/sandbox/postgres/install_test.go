package postgres

import (
	"io"
	"strings"
	"testing"
)

// A version that nobody tests is refused before anything is downloaded.
func TestMajorIsKnown(t *testing.T) {
	t.Parallel()
	if _, err := Major(t.Context(), io.Discard, 9); err == nil || !strings.Contains(err.Error(), "[16 17 18]") {
		t.Errorf("PostgreSQL 9: %v", err)
	}
}
