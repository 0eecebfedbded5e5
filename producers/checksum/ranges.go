package checksum

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/backstitch/backstitch/schemas"
)

// compareRange compares the next range of a table: by its sums, and where they differ
// row by row.
func (c *comparison) compareRange(ctx context.Context, w *work) error {
	began := time.Now()
	source, last, err := w.source.next(ctx, w.after, w.size)
	if err != nil {
		return err
	}
	r := schemas.Range{From: w.after, To: last}
	mirrored, err := w.copy.sum(ctx, r)
	if err != nil {
		return err
	}
	switch took := time.Since(began); {
	case took < fast:
		w.size = min(2*w.size, c.cfg.Rows)
	case took > slow:
		w.size = max(1, w.size/4)
	}
	w.report.Ranges++
	w.report.Rows += source.rows
	w.after, w.done = last, last == nil
	if source == mirrored {
		return nil
	}
	w.report.Read++
	return c.readRange(ctx, w, r)
}

// readRange suspects the rows of a range that are not the same on both sides.
//
// The sides may order their keys differently, where they have other collations (hazard C40). Then a
// row stands in another range there, and is found by its key below. None is left out:
// however the bounds lie on a line that begins below all keys and ends above them,
// each key is passed by at least one range.
func (c *comparison) readRange(ctx context.Context, w *work, r schemas.Range) error {
	left := map[string]string{} // digests of the source's, until the copy is found
	var all [][]string
	err := w.source.pages(ctx, r, c.cfg.Rows, func(page []keyed) error {
		for _, k := range page {
			left[identity(k.key)] = k.digest
			all = append(all, k.key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var odd [][]string
	err = w.copy.pages(ctx, r, c.cfg.Rows, func(page []keyed) error {
		for _, k := range page {
			id := identity(k.key)
			digest, ok := left[id]
			if ok && digest == k.digest {
				delete(left, id)
			} else if !ok {
				odd = append(odd, k.key)
			}
		}
		if len(odd) < c.cfg.Suspects {
			return nil
		}
		// a range of the copy has no bound on its size
		err := c.suspect(ctx, w, odd)
		odd = nil
		return err
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, key := range all {
		if _, there := left[identity(key)]; there {
			odd = append(odd, key)
		}
	}
	if err := c.suspect(ctx, w, odd); !errors.Is(err, errEnough) {
		return err
	}
	return nil
}

// errEnough says that a table is not compared any further.
var errEnough = errors.New("enough was found")

// pages reads a range page by page.
func (s *side) pages(ctx context.Context, r schemas.Range, limit int, take func([]keyed) error) error {
	for {
		page, err := s.page(ctx, r, limit)
		if err != nil {
			return err
		}
		if err := take(page); err != nil {
			return err
		}
		if len(page) < limit {
			return nil
		}
		r.From = page[len(page)-1].key
	}
}

// identity is a key as one string.
func identity(key []string) string {
	if len(key) == 1 {
		return key[0]
	}
	return strings.Join(key, "\x00") // no text of PostgreSQL holds a zero
}

// suspect looks rows up by their keys on both sides, and keeps those that differ. The
// error is errEnough where the table is given up.
func (c *comparison) suspect(ctx context.Context, w *work, keys [][]string) error {
	source, err := w.source.lookUp(ctx, keys)
	if err != nil {
		return err
	}
	mirrored, err := w.copy.lookUp(ctx, keys)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if id := identity(key); source[i].columns != mirrored[i].columns && !w.known[id] {
			w.known[id] = true
			c.suspects = append(c.suspects, &suspect{work: w, key: key, source: source[i]})
		}
	}
	if len(c.suspects) < c.cfg.Suspects {
		return nil
	}
	if err := c.settle(ctx); err != nil {
		return err
	}
	if w.report.Differ() > tooMany {
		w.report.Stopped, w.done = true, true
		return errEnough
	}
	if c.snap == nil {
		if err := c.enter(ctx); err != nil {
			return err
		}
	}
	if w.source == nil { // it has another shape by now
		return errEnough
	}
	return nil
}
