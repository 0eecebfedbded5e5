// Package admin serves what operators look at: the status as JSON, a page over
// it, metrics and health. Nothing in it carries personal data.
package admin

import (
	"maps"
	"slices"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
