package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// WriteJSON writes a finished report for scripts and for a later Compare.
func (r *Report) WriteJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write the report of the rehearsal: %w", err)
	}
	return nil
}

// Read reads a report that WriteJSON wrote, in this or an older format.
func Read(path string) (*Report, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r Report
	if err := json.Unmarshal(raw, &r); err != nil || r.Format < 1 {
		return nil, fmt.Errorf("%s is no report of backstitch rehearse in JSON", path)
	}
	if r.Format > Format {
		return nil, fmt.Errorf("%s has format %d, and this version of Backstitch reads up to %d: use the version that wrote it (%s) or a newer one",
			path, r.Format, Format, r.Run.Version)
	}
	return &r, nil
}
