package redact

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// An error of a connection says where and why once, in one line, and not who connects;
// its causes can still be told.
func TestSQLErrorOfAConnection(t *testing.T) {
	t.Parallel()
	_, err := pgconn.Connect(t.Context(), "postgres://reader:hidden@127.0.0.1:1/legacy") // tried with TLS and without
	got := SQLError(fmt.Errorf("somewhere: %w", err))
	if want := "127.0.0.1:1 (127.0.0.1): dial error: dial tcp 127.0.0.1:1: connect: connection refused"; got.Error() != want {
		t.Errorf("it is shown as %q, want %q", got, want)
	}
	if !errors.Is(got, syscall.ECONNREFUSED) || SQLState(got) != "" {
		t.Errorf("its cause cannot be told: %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = pgconn.Connect(ctx, "postgres://reader:hidden@127.0.0.1:1/legacy?sslmode=disable")
	if got := SQLError(err); !strings.Contains(got.Error(), "127.0.0.1:1") || !errors.Is(got, context.Canceled) {
		t.Errorf("without an address in its reason it is shown as %q", got)
	}
}
