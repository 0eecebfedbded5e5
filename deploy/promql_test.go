package deploy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/scanner"
)

// selector is what an expression asks of one metric.
type promSelector struct {
	metric   string
	matchers []matcher
}

type matcher struct{ label, op, value string }

// promqlWords are the words of PromQL that are neither metrics nor functions; what
// stands before a parenthesis is a function.
var promqlWords = []string{"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset"}

// selectors reads an expression: its selectors, and the labels that it groups or
// joins by. Ranges in [] say nothing here. It is no parser: promtool checks the syntax.
func selectors(expr string) (found []promSelector, grouped []string, err error) {
	var s scanner.Scanner
	s.Init(strings.NewReader(expr))
	s.Mode = scanner.ScanIdents | scanner.ScanStrings | scanner.ScanFloats
	s.Error = func(_ *scanner.Scanner, msg string) { err = fmt.Errorf("%s in %s", msg, expr) }
	tokens := []string{}
	for t := s.Scan(); t != scanner.EOF; t = s.Scan() {
		tokens = append(tokens, s.TokenText())
	}
	next := func(i int) string {
		if i+1 < len(tokens) {
			return tokens[i+1]
		}
		return ""
	}
	for i := 0; i < len(tokens); i++ {
		word := tokens[i]
		switch {
		case word == "[":
			i += slices.Index(tokens[i:], "]")
		case slices.Contains(promqlWords, word):
			if next(i) != "(" || word == "and" || word == "or" || word == "unless" {
				continue
			}
			end := i + slices.Index(tokens[i:], ")")
			for _, label := range tokens[i+2 : end] {
				if label != "," {
					grouped = append(grouped, label)
				}
			}
			i = end
		case !identifier(word) || word == "Inf" || word == "NaN":
		case next(i) == "(" || next(i) == "by" || next(i) == "without": // a function, an aggregation
		default:
			sel := promSelector{metric: word}
			if next(i) == "{" {
				i, sel.matchers = matchers(tokens, i+2)
			}
			found = append(found, sel)
		}
	}
	return found, grouped, err
}

// matchers reads label op "value" [, …] } from a place on, and returns the place of }.
func matchers(tokens []string, i int) (int, []matcher) {
	var all []matcher
	for ; i < len(tokens) && tokens[i] != "}"; i++ {
		if tokens[i] == "," {
			continue
		}
		m := matcher{label: tokens[i]}
		for i++; i < len(tokens) && !strings.HasPrefix(tokens[i], `"`); i++ {
			m.op += tokens[i]
		}
		m.value = strings.Trim(tokens[i], `"`)
		all = append(all, m)
	}
	return i, all
}

func identifier(word string) bool {
	return word[0] == '_' || word[0] >= 'a' && word[0] <= 'z' || word[0] >= 'A' && word[0] <= 'Z'
}

func TestSelectors(t *testing.T) {
	found, grouped, err := selectors(`1 - sum by (job, le) (rate(a_bucket{lane="live",le=~"5.*"}[$__rate_interval])) / on (job) group_left (x) max(b) > 2 * 1024 ^ 3 unless on (table) c{d!=""}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(found, grouped), `[{a_bucket [{lane = live} {le =~ 5.*}]} {b []} {c [{d != }]}] [job le job x table]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
