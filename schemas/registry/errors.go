package registry

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/twmb/franz-go/pkg/sr"
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

// hold is what holds a connector: the reason and what a person can do. It has the
// method that stage.AsHeld looks for.
type hold struct{ reason, fix string }

// Hold says what is wrong and what a person can do.
func (h hold) Hold() (reason, fix string) { return h.reason, h.fix }

func (h hold) Error() string { return h.reason + ". " + h.fix }

// IncompatibleError is a schema that the subject's compatibility level forbids. It
// holds the connector: stage.AsHeld finds the reason and what to do.
type IncompatibleError struct {
	hold
	Subject string
}

// RefusedError is any other answer that asking again does not change: wrong
// credentials, a schema id that the registry does not know, a read-only registry.
// It holds the connector.
type RefusedError struct {
	hold
	Status int // HTTP status, 0 when the answer itself was unusable
}

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
		return &IncompatibleError{Subject: subject, hold: hold{
			reason: fmt.Sprintf("schema registry %s: the table's new schema is not compatible with the last one of subject %s, so its changes cannot be written: %s",
				r.url, subject, message),
			fix: fmt.Sprintf("Either set the compatibility level of subject %s to NONE while its readers are prepared for the new schema, "+
				"and restart; or change the column back.", subject),
		}}
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
	return &RefusedError{Status: status, hold: hold{
		reason: fmt.Sprintf("schema registry %s: %s: refused with status %d: %s", url, act, status, message), fix: fix,
	}}
}
