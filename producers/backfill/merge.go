package backfill

import (
	"slices"

	"github.com/backstitch/backstitch/schemas"
)

// Merge adds a finished range to a table's progress. Neighbours grow together, so
// that progress stays as small as the number of ranges in work, whatever the
// table's size (hazard S16). Ends meet when their texts are equal: a boundary is
// always copied, never computed. The result is done when nothing is left out. The
// argument is not changed.
func Merge(p schemas.TableProgress, r schemas.Range) schemas.TableProgress {
	kept := make([]schemas.Range, 0, len(p.Ranges)+1)
	for _, have := range p.Ranges {
		switch {
		case have.To != nil && slices.Equal(have.To, r.From):
			r.From = have.From
		case have.From != nil && slices.Equal(have.From, r.To):
			r.To = have.To
		default:
			kept = append(kept, have)
		}
	}
	if r.From == nil && r.To == nil {
		kept, p.Done = nil, true
	}
	kept = append(kept, r)
	p.Ranges = kept
	return p
}
