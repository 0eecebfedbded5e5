package transform

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

const (
	// surveyPatience is how long the loop waits for the source's catalogue when it can
	// go on without; surveyTime is what one reading may take.
	surveyPatience = time.Second
	surveyTime     = 30 * time.Second
	// surveyEvery is how often a source that cannot be reached is tried.
	surveyEvery = 5 * time.Second
)

// CatalogueStatus is said of the source's catalogue while the source cannot be
// reached: the transform works with the one that was read last.
type CatalogueStatus struct {
	ReadAt time.Time `json:"read_at"`
	// UnreachableSince is when this instance found the source unreachable.
	UnreachableSince time.Time `json:"unreachable_since"`
	// Waits says what must wait until the source was read; "" for nothing.
	Waits string `json:"waits,omitempty"`
}

// sourceAwayError says why the transform cannot go on without its source.
type sourceAwayError struct {
	waits string
	err   error
}

func (e *sourceAwayError) Error() string {
	return "the source cannot be reached, and " + e.waits + ": " + e.err.Error()
}

func (e *sourceAwayError) Unwrap() error { return e.err }

// survey is what an owner knows of its source.
type survey struct {
	known   *Catalogue // nil before the first reading
	since   time.Time  // when the source was found unreachable; zero while it is not
	waits   string     // what waits for it
	reading *reading   // going on beside the loop
}

// reading reads the source's catalogue, again and again until it has it.
type reading struct {
	read   chan *Catalogue // takes one
	failed chan failure    // takes the newest attempt's
}

type failure struct{ err error }

// covers: what changed a table up to v is in the catalogue.
func (s *survey) covers(v schemas.Version) bool {
	return s.known != nil && s.known.Covers.Compare(v) >= 0
}

// status is nil while the source can be reached.
func (s *survey) status() *CatalogueStatus {
	if s.since.IsZero() {
		return nil
	}
	return &CatalogueStatus{ReadAt: s.known.ReadAt, UnreachableSince: s.since, Waits: s.waits}
}

// waitingForSource begins what is done while nothing can be.
const waitingForSource = "waiting for the source: "

// Warning is what a person should know of a transform that nothing holds: that its
// source cannot be reached, since when, what is used instead and what waits. "" while
// there is nothing.
func (s Status) Warning() string {
	switch c := s.Catalogue; {
	case c != nil:
		w := "the source cannot be reached since " + clock(c.UnreachableSince) + "; its catalogue of " + clock(c.ReadAt) + " is used"
		if c.Waits != "" {
			w += ", and what follows waits: " + c.Waits
		}
		return w
	case strings.HasPrefix(s.Doing, waitingForSource):
		return s.Doing
	}
	return ""
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }

// read begins to read the source's catalogue and waits for it, no longer than
// patience. Without an answer the reading goes on beside the loop, and wakes it.
func (o *owner) read(ctx context.Context, patience time.Duration) error {
	s := &o.survey
	if s.reading == nil {
		r := &reading{make(chan *Catalogue, 1), make(chan failure, 1)}
		s.reading = r
		o.aside(func(ctx context.Context) { o.keepReading(ctx, r) })
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case c := <-s.reading.read:
		return o.learn(ctx, c)
	case f := <-s.reading.failed:
		return o.miss(f.err)
	case <-timer.C:
		return o.miss(fmt.Errorf("no answer for %s: %w", patience, context.DeadlineExceeded))
	}
}

func (o *owner) keepReading(ctx context.Context, r *reading) {
	for {
		c, err := o.readOnce(ctx)
		if err == nil {
			r.read <- c
			o.Wake()
			return
		}
		select {
		case <-r.failed: // an older one that nobody waited for
		default:
		}
		r.failed <- failure{err}
		select {
		case <-ctx.Done():
			return
		case <-time.After(surveyEvery):
		}
	}
}

// readOnce reads the catalogue. What the stream said before the reading began is
// committed in the source, and so in what is read.
func (o *owner) readOnce(ctx context.Context) (*Catalogue, error) {
	c := &Catalogue{Plan: o.deps.Plan, Covers: o.reader.newest(), ReadAt: o.deps.Now()}
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	var err error
	if c.Captured, err = o.deps.Describe(ctx); err != nil {
		return nil, fmt.Errorf("describe the captured tables: %w", err)
	}
	return c, nil
}

// miss notes that the source cannot be reached, and tells of it once. Another error
// passes.
func (o *owner) miss(err error) error {
	if Unreachable(err) && o.survey.since.IsZero() && o.survey.known != nil {
		o.survey.since = o.deps.Now()
		o.log.Warn("the source cannot be reached; the transform works with its catalogue as it was read last",
			"connector", o.Connector(), "read_at", o.survey.known.ReadAt, "error", redact.SQLError(err))
	}
	return err
}

// learn takes a catalogue over and keeps it for a successor.
func (o *owner) learn(ctx context.Context, c *Catalogue) error {
	s := &o.survey
	if !s.since.IsZero() {
		o.log.Info("the source can be reached again", "connector", o.Connector(), "unreachable_since", s.since)
	}
	*s = survey{known: c}
	err := pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		if err := fence(ctx, tx, o.state.term); err != nil {
			return err
		}
		return c.remember(ctx, tx, &o.cfg)
	})
	if err != nil {
		return fmt.Errorf("keep the source's catalogue: %w", redact.SQLError(err))
	}
	return nil
}

// overhear takes over what was read beside the loop.
func (o *owner) overhear(ctx context.Context) error {
	if o.survey.reading == nil {
		return nil
	}
	select {
	case c := <-o.survey.reading.read:
		return o.learn(ctx, c)
	default:
		return nil
	}
}

// consult reads the catalogue at a take-over. While the source cannot be reached, the
// catalogue that a former owner kept does: an owner that lived on would work with the
// same. Not one of a former epoch: the source may be another.
func (o *owner) consult(ctx context.Context, epoch uint32) error {
	kept, err := Recall(ctx, o.conn, o.cfg.Prefix, o.cfg.Tables, o.cfg.Mappings)
	var none *NoCatalogueError
	if err != nil && !errors.As(err, &none) {
		return err
	}
	if none == nil && kept.Covers.Epoch < epoch {
		none = &NoCatalogueError{fmt.Sprintf("the one in the ledger is of epoch %d, and in epoch %d the source may be another database", kept.Covers.Epoch, epoch)}
	}
	patience := surveyTime
	if none == nil {
		o.survey.known, patience = kept, surveyPatience
	}
	err = o.read(ctx, patience)
	switch {
	case err == nil || !Unreachable(err) || ctx.Err() != nil:
		return err
	case none != nil:
		return &sourceAwayError{none.Error(), err}
	}
	o.plan = kept.Plan // the tables are those that it was compiled for
	return nil
}

// reread makes sure of a catalogue that covers a version, or says what waits for it.
func (o *owner) reread(ctx context.Context, v schemas.Version, waits string) error {
	for range 2 { // the first may have begun before the stream said it
		if err := o.overhear(ctx); err != nil || o.survey.covers(v) {
			return err
		}
		if err := o.insist(ctx, waits); err != nil {
			return err
		}
	}
	return nil
}

// refresh reads the catalogue anew.
func (o *owner) refresh(ctx context.Context, waits string) error {
	o.survey.reading = nil // what is being read may be older than the question
	return o.insist(ctx, waits)
}

// insist is read where a kept catalogue does not do.
func (o *owner) insist(ctx context.Context, waits string) error {
	patience := surveyPatience
	if !o.survey.since.IsZero() && o.survey.reading != nil {
		patience = 0 // it is tried beside the loop
	}
	err := o.read(ctx, patience)
	if err != nil && Unreachable(err) && ctx.Err() == nil {
		o.survey.waits = waits
		return &sourceAwayError{waits, err}
	}
	return err
}

// awaitsSource: a change of columns that the mapping reads cannot be followed before
// the source was read. What stands before it is evaluated meanwhile.
func (o *owner) awaitsSource(ctx context.Context, c *control) (bool, error) {
	t := o.tables[c.Table]
	if c.done || c.Kind != schemas.ControlColumns || t == nil || len(t.among(c.Columns)) == 0 {
		return false, nil
	}
	err := o.reread(ctx, c.Version, fmt.Sprintf("columns of table %s changed at %s, and their types are not known", c.Table, c.Version.Commit))
	var away *sourceAwayError
	if errors.As(err, &away) {
		return true, nil
	}
	return false, err
}
