package registry

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/backstitch/backstitch/internal/stage"
)

// UnreachableError is a registry that did not answer, or answered that it cannot
// now (429, 5xx): ask again later.
type UnreachableError struct {
	URL string
	Act string
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("schema registry %s: %s: no answer, will be asked again: %v", e.URL, e.Act, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// IncompatibleError is a schema that the subject's compatibility level forbids. It
// holds the connector: stage.AsHeld finds the reason and what to do.
type IncompatibleError struct {
	Subject string
	held    error
}

func (e *IncompatibleError) Error() string { return e.held.Error() }

func (e *IncompatibleError) Unwrap() error { return e.held }

// RefusedError is any other answer that asking again does not change: wrong
// credentials, a schema id that the registry does not know, a read-only registry.
// It holds the connector.
type RefusedError struct {
	Status int // HTTP status, 0 when the answer itself was unusable
	held   error
}

func (e *RefusedError) Error() string { return e.held.Error() }

func (e *RefusedError) Unwrap() error { return e.held }

// longestAnswer bounds how much of a registry's message an error repeats.
const longestAnswer = 400

func (r *Registry) explain(err error, act, subject string) error {
	var answer *sr.ResponseError
	if !errors.As(err, &answer) {
		return &UnreachableError{URL: r.url, Act: act, Err: err}
	}
	message := answer.Error()
	if len(message) > longestAnswer {
		message = message[:longestAnswer] + "…"
	}
	switch status := answer.StatusCode; {
	case status == http.StatusConflict && subject != "":
		return &IncompatibleError{Subject: subject, held: stage.Hold(
			fmt.Sprintf("Either set the compatibility level of subject %s to NONE while its readers are prepared for the new schema, "+
				"and restart; or change the column back.", subject),
			"schema registry %s: the table's new schema is not compatible with the last one of subject %s, so its changes cannot be written: %s",
			r.url, subject, message)}
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		return &UnreachableError{URL: r.url, Act: act, Err: fmt.Errorf("status %d: %s", status, message)}
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return refused(r.url, act, status, message, "Check the registry's credentials and what they may do, then restart.")
	case status == http.StatusNotFound:
		return refused(r.url, act, status, message, "Check that this is the registry that the records were written with.")
	default:
		return refused(r.url, act, status, message, "Change what the registry's answer names, then restart.")
	}
}

func refused(url, act string, status int, message, fix string) error {
	return &RefusedError{Status: status, held: stage.Hold(fix, "schema registry %s: %s: refused with status %d: %s", url, act, status, message)}
}
