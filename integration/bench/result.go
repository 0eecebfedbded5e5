package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"
)

// result is one measured figure and what it is held against.
type result struct {
	Name        string  `json:"name"`
	Value       float64 `json:"value"`
	Unit        string  `json:"unit"`
	Anchor      string  `json:"anchor"`
	AnchorValue float64 `json:"anchor_value"`
	Ratio       float64 `json:"ratio"` // value / anchor_value; 0: there is no anchor value
}

func (r result) String() string {
	return fmt.Sprintf("%s %s %s, %s %s, ratio %.2f", r.Name, number(r.Value), r.Unit, r.Anchor, number(r.AnchorValue), r.Ratio)
}

func number(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

func printTable(w io.Writer, results []result) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "name\tvalue\tunit\tanchor\tanchor value\tratio")
	for _, r := range results {
		ratio := "-"
		if r.AnchorValue != 0 {
			ratio = strconv.FormatFloat(r.Ratio, 'f', 2, 64)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, number(r.Value), r.Unit, r.Anchor, number(r.AnchorValue), ratio)
	}
	_ = t.Flush() // standard output; there is nowhere else to complain
}

func writeJSON(path string, results []result) error {
	if results == nil {
		results = []result{}
	}
	out, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(out, '\n'), 0o600)
}

// quantile of values, 0 to 1; median is quantile(v, 0.5).
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func median(values []float64) float64 { return quantile(values, 0.5) }
