package stytch

import (
	"fmt"
	"net/http"
)

// refusal is an answer of the API that is not a success. Its message never holds a
// value that was sent (invariant 8).
type refusal struct {
	status  int
	kind    string // error_type
	message string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.kind, r.message) }

func refuse(kind, message string) error {
	return &refusal{status: http.StatusBadRequest, kind: kind, message: message}
}

func missing(kind, message string) error {
	return &refusal{status: http.StatusNotFound, kind: kind, message: message}
}

func badRequest(message string) error {
	return refuse("bad_request", "The submitted request is invalid. "+message)
}

func (r *refusal) url() string {
	page := fmt.Sprintf("https://stytch.com/docs/b2b/api/errors/%d", r.status)
	switch r.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusInternalServerError:
		return page
	}
	return page + "#" + r.kind
}

var (
	errOrganizationNotFound = missing("organization_not_found", "The organization could not be found.")
	errMemberNotFound       = missing("member_not_found", "The member could not be found.")
	errCredentials          = &refusal{http.StatusUnauthorized, "unauthorized_credentials", "Unauthorized credentials."}
	errTooManyRequests      = &refusal{http.StatusTooManyRequests, "too_many_requests", "Too many requests have been made."}
)
