package stytch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error is an answer of 400 or above. Stytch's message is left out: it may repeat
// values (invariant 8).
type Error struct {
	// Status is the HTTP status.
	Status int
	// Type is Stytch's error_type, lower case with underscores; "" when the body
	// was not Stytch's, such as a proxy's HTML page. Decide by it first, by Status second.
	Type string
	// RequestID is what Stytch's support asks for.
	RequestID string
	// URL is the documentation page of the error.
	URL string
	// RetryAfter is what the header of that name asked for; 0 when absent.
	RetryAfter time.Duration
}

// Error is status, type and request id.
func (e *Error) Error() string {
	kind := e.Type
	if kind == "" {
		kind = "no error type"
	}
	s := fmt.Sprintf("%d %s", e.Status, kind)
	if e.RequestID != "" {
		s += " (" + e.RequestID + ")"
	}
	return s
}

// ErrorType is the Stytch error type in an error's chain, or "".
func ErrorType(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Type
	}
	return ""
}

// ResponseError is an answer below 400 that is not what Stytch answers: a wrong
// status, a truncated or foreign body. The call may have had its effect.
type ResponseError struct {
	Status int
	Reason string
	err    error
}

// Error is status and reason.
func (e *ResponseError) Error() string {
	return fmt.Sprintf("unusable answer with status %d: %s", e.Status, e.Reason)
}

// Unwrap is the reading error of a truncated body.
func (e *ResponseError) Unwrap() error { return e.err }

// unsent marks errors of requests of which no byte left this process.
type unsent struct{ err error }

func (e *unsent) Error() string { return "not sent: " + e.err.Error() }
func (e *unsent) Unwrap() error { return e.err }

// MaybeSent says whether the request behind err may have reached Stytch. It is
// false only when no byte of it left this process, and none will.
func MaybeSent(err error) bool {
	var e *unsent
	return !errors.As(err, &e)
}

func newError(resp *http.Response, body []byte, now time.Time) *Error {
	e := &Error{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), now)}
	var envelope struct {
		Type      string `json:"error_type"`
		RequestID string `json:"request_id"`
		URL       string `json:"error_url"`
	}
	if json.Unmarshal(body, &envelope) != nil {
		return e // a proxy's page: the status is all there is
	}
	e.Type = only(envelope.Type, 80, "_")
	e.RequestID = only(envelope.RequestID, 80, "-_")
	if strings.HasPrefix(envelope.URL, "https://") {
		e.URL = only(envelope.URL, 200, "-_:/.#")
	}
	return e
}

// only keeps s if it is short and made of letters, digits and the extra
// characters: what an answer puts into errors and labels stays tame (invariant 8).
func only(s string, limit int, extra string) string {
	if len(s) > limit {
		return ""
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(extra, r) {
			return ""
		}
	}
	return s
}

// retryAfter reads both forms of the header: seconds, or an HTTP date.
func retryAfter(s string, now time.Time) time.Duration {
	if s == "" {
		return 0
	}
	if n, err := strconv.Atoi(s); err == nil {
		return time.Duration(max(0, min(n, 86400))) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, min(t.Sub(now), 24*time.Hour))
	}
	return 0
}
