package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/schemas"
)

// Time-outs of GET /applied.
const (
	appliedTimeout = 2 * time.Second // when none is asked for
	appliedLongest = time.Minute
)

// Applied waits until everything committed up to a position is applied or set aside,
// or ctx ends.
type Applied func(ctx context.Context, lsn schemas.LSN, organization string) (ledger.Progress, error)

// AppliedAnswer is the answer of GET /applied.
type AppliedAnswer struct {
	// Applied: everything committed up to the position is in Stytch, or set aside.
	Applied bool `json:"applied"`
	// Progress counts what is not; parked, awaiting consent, blocked and released
	// entities do not keep Applied from being true.
	ledger.Progress
}

// handler answers ?lsn=16/B374D848&organization=KEY&timeout=2s: 200 when it is applied,
// 504 when the time-out came first, 400 for what cannot be read.
func (a Applied) handler(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	lsn, err := schemas.ParseLSN(query.Get("lsn"))
	if err != nil {
		fail(w, http.StatusBadRequest, "lsn: want a position as PostgreSQL writes it, such as 16/B374D848: SELECT pg_current_wal_lsn() after the COMMIT")
		return
	}
	timeout := appliedTimeout
	if s := query.Get("timeout"); s != "" {
		if timeout, err = time.ParseDuration(s); err != nil || timeout < 0 || timeout > appliedLongest {
			fail(w, http.StatusBadRequest, "timeout: want a duration of at most 1m, such as 2s")
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	progress, err := a(ctx, lsn, query.Get("organization"))
	switch {
	case err != nil:
		fail(w, http.StatusInternalServerError, err.Error())
	case progress.Done():
		write(w, http.StatusOK, AppliedAnswer{true, progress})
	default:
		write(w, http.StatusGatewayTimeout, AppliedAnswer{false, progress})
	}
}
